"""Sockets between the tasks of one guest: AF_UNIX, and TCP and UDP over the loopback device.

There is no other network, and nothing reaches the host's.  What is sent arrives at once: there is no latency, no loss
and no reordering, so that the order of events follows from that of the calls.
"""
