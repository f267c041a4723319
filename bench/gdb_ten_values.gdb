# What a person would script instead: run natively to the end of the bootstrap and print ten values.  Go 1.25 or newer.
set confirm off
set startup-with-shell off
tbreak *&'runtime.mstart.abi0'
run
print 'runtime.argc'
print 'runtime.numCPUStartup'
print 'runtime.physPageSize'
print 'runtime.physHugePageSize'
print 'runtime.gomaxprocs'
print 'runtime.sched'.maxmcount
print 'runtime.allglen'
print 'runtime.gcController'.heapMinimum
print 'runtime.debug'.cgocheck
print 'runtime.m0'.id
kill
