// Package sandbox is the container runtime: it gives a process namespaces, a root, users and
// capabilities of its own. The process is started twice: Start clones this program into the new
// namespaces, where Init builds the root, gives up what it may, and executes the container's program.
package sandbox

// Spec is what a container is made of. It goes to Init as JSON over a pipe, since it has secrets.
type Spec struct {
	// Root is an empty folder that becomes the root. /usr and /etc in it are the machine's, below a
	// layer for what is written.
	Root         string `json:"root"`
	ReadOnlyRoot bool   `json:"read_only_root"`
	Hostname     string `json:"hostname"`

	// Program is a file of the machine that is seen at ProgramPath; none when empty.
	Program     string   `json:"program"`
	ProgramPath string   `json:"program_path"`
	Args        []string `json:"args"` // Args[0] is looked for in PATH unless it has a slash
	Env         []string `json:"env"`
	Folder      string   `json:"folder"` // working directory; made if it is not there

	Mounts  []Mount  `json:"mounts"`
	Devices []Device `json:"devices"`

	UID    int   `json:"uid"`
	GID    int   `json:"gid"`
	Groups []int `json:"groups"`
	// Offline gives it a network with a loopback device only, else it has the machine's.
	Offline bool `json:"offline"`
	// Reach are addresses (host and port) of the machine's loopback device that it has all the same.
	Reach []string `json:"reach"`
	// Capabilities is the bounding set, which root has and others may get from a file's.
	Capabilities    []string `json:"capabilities"`
	NoNewPrivileges bool     `json:"no_new_privileges"`
}

// Mount is a file or folder of the machine that is seen at Target.
type Mount struct {
	Source   string `json:"source"`
	Target   string `json:"target"`
	ReadOnly bool   `json:"read_only"`
}

// Device is a node of a block device.
type Device struct {
	Target string `json:"target"`
	Major  uint32 `json:"major"`
	Minor  uint32 `json:"minor"`
	UID    int    `json:"uid"`
	GID    int    `json:"gid"`
}
