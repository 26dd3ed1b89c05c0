module vmferry/tests/peers/vsphere

go 1.25.0

require (
	github.com/google/uuid v1.6.0
	github.com/klauspost/compress v1.20.3
	github.com/vmware/govmomi v0.56.0
	golang.org/x/sys v0.30.0
)

require gopkg.in/yaml.v3 v3.0.1 // indirect
