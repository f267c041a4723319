"""The native machine as judge: run a program on this kernel under ptrace and see what it did.

Works on Linux on x86-64 where ptrace is allowed; elsewhere every entry raises NativeUnavailable with the reason.
"""
