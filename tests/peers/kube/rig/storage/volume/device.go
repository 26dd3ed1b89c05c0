package volume

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// loopMajor is the block major number of loop devices (Linux, Documentation/admin-guide/devices.txt).
const loopMajor = 7

// attach gives the file a loop device, and mounts what is on it unless it is a Block volume.
func (u *use) attach(path string) error {
	device, minor, err := openLoop(path)
	if err != nil {
		return err
	}
	u.device = device
	u.attached.Major, u.attached.Minor = loopMajor, minor
	if u.attached.Mode == Block {
		return nil
	}
	folder := filepath.Join(filepath.Dir(path), "mounted")
	err = os.MkdirAll(folder, 0o755)
	if err == nil {
		err = unix.Mount(device.Name(), folder, "ext4", 0, "")
	}
	if err != nil {
		device.Close()
		return fmt.Errorf("mount: %w", err)
	}
	u.attached.Folder = folder
	return nil
}

func (u *use) detach() error {
	if u.device == nil {
		return nil
	}
	var err error
	if u.attached.Mode == Filesystem {
		err = unix.Unmount(u.attached.Folder, 0)
	}
	// The device loses its file when the last one closes it (LO_FLAGS_AUTOCLEAR).
	return errors.Join(err, u.device.Sync(), u.device.Close())
}

func (u *use) sync() error {
	if u.device == nil {
		return nil
	}
	if u.attached.Mode == Filesystem {
		folder, err := os.Open(u.attached.Folder)
		if err != nil {
			return err
		}
		defer folder.Close()
		if err := unix.Syncfs(int(folder.Fd())); err != nil {
			return err
		}
	}
	return u.device.Sync()
}

// openLoop connects a file to a free loop device, for as long as somebody has the device open: so
// that nothing is left when the rig is killed.
func openLoop(path string) (*os.File, uint32, error) {
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil, 0, err
	}
	defer file.Close()
	control, err := os.OpenFile("/dev/loop-control", os.O_RDWR, 0)
	if err != nil {
		return nil, 0, err
	}
	defer control.Close()
	// Between "it is free" and "it is mine" another process may take it.
	for range 100 {
		minor, err := unix.IoctlRetInt(int(control.Fd()), unix.LOOP_CTL_GET_FREE)
		if err != nil {
			return nil, 0, fmt.Errorf("loop-control: %w", err)
		}
		device, err := openNode(uint32(minor))
		if err != nil {
			return nil, 0, err
		}
		config := unix.LoopConfig{Fd: uint32(file.Fd())}
		config.Info.Flags = unix.LO_FLAGS_AUTOCLEAR
		copy(config.Info.File_name[:len(config.Info.File_name)-1], path)
		err = unix.IoctlLoopConfigure(int(device.Fd()), &config)
		if err == nil {
			return device, uint32(minor), nil
		}
		device.Close()
		if !errors.Is(err, unix.EBUSY) {
			return nil, 0, fmt.Errorf("%s: %w", device.Name(), err)
		}
	}
	return nil, 0, errors.New("no free loop device")
}

// openNode opens /dev/loopN. Where /dev is not devtmpfs a device that the kernel just made has no
// node there.
func openNode(minor uint32) (*os.File, error) {
	name := fmt.Sprintf("/dev/loop%d", minor)
	device, err := os.OpenFile(name, os.O_RDWR, 0)
	if !errors.Is(err, os.ErrNotExist) {
		return device, err
	}
	err = unix.Mknod(name, unix.S_IFBLK|0o660, int(unix.Mkdev(loopMajor, minor)))
	if err != nil && !errors.Is(err, unix.EEXIST) {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return os.OpenFile(name, os.O_RDWR, 0)
}
