"""Descriptors and the files behind them: open, read, write, seek, stat, over the tree that the World describes.

What the guest writes stays in memory, over the World's files and what it binds; procfs, sysfs and control groups are
derived and refuse to be written.  Standard output and error are collected by the kernel.
"""
