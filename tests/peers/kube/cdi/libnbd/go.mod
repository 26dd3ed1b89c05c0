module libguestfs.org/libnbd

go 1.25.0
