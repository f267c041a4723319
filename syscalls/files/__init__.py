"""Descriptors and the files behind them: open, read, write, seek, stat, over the tree that the World describes.

The guest's tree is read-only so far: creating or writing a file fails as it does on a read-only file system (EROFS),
or as procfs and sysfs refuse it.  Standard output and error are collected by the kernel.
"""
