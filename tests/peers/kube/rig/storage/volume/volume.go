// Package volume keeps the content of volumes and snapshots as files below a folder, and makes a
// volume usable for containers: a folder, a mounted file system, or a loop device.
package volume

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"sync"
)

// Modes of a volume, as PersistentVolumes spell them.
const (
	Filesystem = "Filesystem"
	Block      = "Block"
)

// Info is what is known about a volume without looking at its content.
type Info struct {
	Mode string `json:"mode"`
	// Limited says that a Filesystem volume is an ext4 file system of that size in a file; else it is
	// a folder, which is as large as the machine's disk.
	Limited   bool  `json:"limited,omitempty"`
	SizeBytes int64 `json:"size_bytes"`
}

// Attached is a volume in use on the node.
type Attached struct {
	Info
	// Folder is the root of a Filesystem volume, in the rig's mount namespace.
	Folder string
	// Major and Minor are the loop device of a Block volume.
	Major, Minor uint32
}

// Store has the volumes of one rig. Its methods may be called from any goroutine.
type Store struct {
	folder string

	mutex sync.Mutex // guards uses; held while a device or a mount comes or goes
	uses  map[string]*use
}

type use struct {
	count    int
	attached Attached
	device   *os.File // the loop device, of a Block or Limited volume
}

var (
	storesMutex sync.Mutex
	stores      = map[string]*Store{}
)

// Open is the store in that folder, the same one for every caller in this process.
func Open(folder string) (*Store, error) {
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return nil, err
	}
	storesMutex.Lock()
	defer storesMutex.Unlock()
	if stores[folder] == nil {
		stores[folder] = &Store{folder: folder, uses: map[string]*use{}}
	}
	return stores[folder], nil
}

// handlePattern keeps a handle one folder's name, whatever an object in the cluster says.
var handlePattern = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,100}$`)

func (s *Store) path(handle string, names ...string) (string, error) {
	if !handlePattern.MatchString(handle) {
		return "", fmt.Errorf("'%s' is no volume handle", handle)
	}
	return filepath.Join(append([]string{s.folder, handle}, names...)...), nil
}

func (i Info) contentName() string {
	switch {
	case i.Mode == Block:
		return "block"
	case i.Limited:
		return "ext4"
	default:
		return "files"
	}
}

// Create makes an empty volume. One that is there already is left as it is.
func (s *Store) Create(handle string, info Info) error {
	return s.build(handle, info, func(folder string) error {
		return makeContent(filepath.Join(folder, info.contentName()), info)
	})
}

// Copy makes a volume with the content of another one, which it may exceed in size.
func (s *Store) Copy(from, handle string, sizeBytes int64) error {
	info, err := s.Info(from)
	if err != nil {
		return err
	}
	if sizeBytes < info.SizeBytes {
		return fmt.Errorf("a copy of %d bytes cannot have the content of %d bytes", sizeBytes, info.SizeBytes)
	}
	if err := s.Sync(from); err != nil {
		return err
	}
	source, err := s.path(from, info.contentName())
	if err != nil {
		return err
	}
	info.SizeBytes = sizeBytes
	return s.build(handle, info, func(folder string) error {
		target := filepath.Join(folder, info.contentName())
		if err := command("cp", "-a", "--reflink=auto", "--sparse=always", "--", source, target); err != nil {
			return err
		}
		return growContent(target, info)
	})
}

// build fills a folder that becomes the volume in one step.
func (s *Store) build(handle string, info Info, fill func(folder string) error) error {
	folder, err := s.path(handle)
	if err != nil {
		return err
	}
	if _, err := os.Stat(folder); err == nil {
		return nil
	}
	building := folder + ".new"
	if err := os.RemoveAll(building); err != nil {
		return err
	}
	if err := os.MkdirAll(building, 0o755); err != nil {
		return err
	}
	text, err := json.Marshal(info)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(building, "volume.json"), text, 0o644); err != nil {
		return err
	}
	if err := fill(building); err != nil {
		os.RemoveAll(building)
		return err
	}
	return os.Rename(building, folder)
}

func makeContent(path string, info Info) error {
	if info.contentName() == "files" {
		return os.Mkdir(path, 0o755)
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer file.Close()
	if err := file.Truncate(info.fileSize()); err != nil {
		return err
	}
	if info.Mode == Block {
		return nil
	}
	return command("mke2fs", "-q", "-F", "-t", "ext4", "-E", "nodiscard,lazy_itable_init=1,lazy_journal_init=1", path)
}

func growContent(path string, info Info) error {
	if info.contentName() == "files" {
		return nil
	}
	if err := os.Truncate(path, info.fileSize()); err != nil {
		return err
	}
	if info.Mode == Block {
		return nil
	}
	// A copy of a mounted file system has its journal to be played first. e2fsck says 1 when it did
	// something, and it did well.
	if err := command("e2fsck", "-fp", path); err != nil {
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.ExitCode() != 1 {
			return err
		}
	}
	return command("resize2fs", path)
}

// fileSize is in whole sectors: a loop device does not show what is beyond the last one.
func (i Info) fileSize() int64 {
	return (i.SizeBytes + 511) &^ 511
}

func command(name string, args ...string) error {
	path, err := exec.LookPath(name)
	if err != nil {
		path = filepath.Join("/usr/sbin", name) // not in the PATH of every user
	}
	output, err := exec.Command(path, args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w: %s", name, err, output)
	}
	return nil
}

// Info reads what Create was told; the error is fs.ErrNotExist when there is no such volume.
func (s *Store) Info(handle string) (Info, error) {
	var info Info
	path, err := s.path(handle, "volume.json")
	if err != nil {
		return info, err
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return info, err
	}
	return info, json.Unmarshal(text, &info)
}

// Delete removes a volume that nothing uses.
func (s *Store) Delete(handle string) error {
	folder, err := s.path(handle)
	if err != nil {
		return err
	}
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if s.uses[handle] != nil {
		return fmt.Errorf("volume '%s' is in use", handle)
	}
	return os.RemoveAll(folder)
}

// Attach makes a volume usable; each call wants a Detach.
func (s *Store) Attach(handle string) (Attached, error) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if u := s.uses[handle]; u != nil {
		u.count++
		return u.attached, nil
	}
	info, err := s.Info(handle)
	if err != nil {
		return Attached{}, err
	}
	content, err := s.path(handle, info.contentName())
	if err != nil {
		return Attached{}, err
	}
	u := &use{count: 1, attached: Attached{Info: info}}
	if info.contentName() == "files" {
		u.attached.Folder = content
	} else if err := u.attach(content); err != nil {
		return Attached{}, fmt.Errorf("volume '%s': %w", handle, err)
	}
	s.uses[handle] = u
	return u.attached, nil
}

// Detach undoes one Attach.
func (s *Store) Detach(handle string) error {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	u := s.uses[handle]
	if u == nil {
		return fmt.Errorf("volume '%s' is not in use", handle)
	}
	u.count--
	if u.count > 0 {
		return nil
	}
	delete(s.uses, handle)
	return u.detach()
}

// Sync writes what the kernel still holds of a device to the file behind it, so that the file may be
// read. A folder needs none: its readers share the cache with its writers.
func (s *Store) Sync(handle string) error {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if u := s.uses[handle]; u != nil {
		return u.sync()
	}
	return nil
}

// DiskImage is where the bytes of a disk on that volume can be read by any program on the machine:
// the device's file, or disk.img (which may not exist). An ext4 file system is seen by the rig only,
// so its disk.img is copied out, as it is now.
func (s *Store) DiskImage(handle string) (string, error) {
	info, err := s.Info(handle)
	if err != nil {
		return "", err
	}
	if !info.Limited {
		names := []string{info.contentName()}
		if info.Mode == Filesystem {
			names = append(names, "disk.img")
		}
		if err := s.Sync(handle); err != nil {
			return "", err
		}
		return s.path(handle, names...)
	}
	attached, err := s.Attach(handle)
	if err != nil {
		return "", err
	}
	defer s.Detach(handle)
	copied, err := s.path(handle, "disk.img")
	if err != nil {
		return "", err
	}
	source := filepath.Join(attached.Folder, "disk.img")
	if _, err := os.Lstat(source); errors.Is(err, fs.ErrNotExist) {
		return copied, os.RemoveAll(copied)
	}
	return copied, command("cp", "-a", "--sparse=always", "--", source, copied)
}
