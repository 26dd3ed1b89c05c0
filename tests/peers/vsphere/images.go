package main

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// makeDisks makes the raw files that are not given, a few at a time.
func makeDisks(opt Options, specs []*VMSpec) error {
	var jobs []func() error
	for _, v := range specs {
		for i, d := range v.Disks {
			if d.Path != "" || v.isFiller() {
				continue
			}
			d.Path = filepath.Join(opt.dir, fmt.Sprintf("%s-%d.raw", fileName(v.Name), i))
			seed := uint64(len(v.Name))<<32 + uint64(i)*7919 + uint64(d.Size>>20)
			jobs = append(jobs, func() error {
				if err := d.makeImage(opt.cache, seed); err != nil {
					return fmt.Errorf("disk %d of '%s': %w", i, v.Name, err)
				}
				return nil
			})
		}
	}
	var wg sync.WaitGroup
	slots := make(chan struct{}, 4)
	errs := make([]error, len(jobs))
	for i, job := range jobs {
		wg.Add(1)
		slots <- struct{}{}
		go func() {
			defer wg.Done()
			errs[i] = job()
			<-slots
		}()
	}
	wg.Wait()
	return errors.Join(errs...)
}

// fileName makes a VM's name fit for a file.
func fileName(name string) string {
	return strings.Map(func(r rune) rune {
		if r == '/' || r == 0 {
			return '_'
		}
		return r
	}, name)
}

// makeImage makes one raw file, from the cache when it is there.
func (d *DiskSpec) makeImage(cache string, seed uint64) error {
	if !d.Ext4Tree && d.treeBytes == 0 {
		return sparse(d.Path, d.Size)
	}
	if cache == "" {
		return d.build(d.Path, seed)
	}
	key := sha256.Sum256(fmt.Appendf(nil, "v2 %d %v %d %d", d.Size, d.Ext4Tree, d.treeBytes, seed))
	kept := filepath.Join(cache, fmt.Sprintf("%x.raw", key[:12]))
	if _, err := os.Stat(kept); err != nil {
		if err := os.MkdirAll(cache, 0o755); err != nil {
			return err
		}
		tmp := fmt.Sprintf("%s.%d", kept, os.Getpid())
		if err := d.build(tmp, seed); err != nil {
			_ = os.Remove(tmp)
			return err
		}
		if err := os.Rename(tmp, kept); err != nil {
			return err
		}
	}
	return sparseCopy(kept, d.Path)
}

func sparse(path string, size int64) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	if err := f.Truncate(size); err != nil {
		_ = f.Close()
		return err
	}
	return f.Close()
}

// build fills a sparse file: with a file system and a tree in it, or with
// data here and there.
func (d *DiskSpec) build(path string, seed uint64) error {
	if err := sparse(path, d.Size); err != nil {
		return err
	}
	bytes := d.treeBytes
	if bytes == 0 {
		bytes = min(d.Size/16, 64<<20)
	}
	if !d.Ext4Tree {
		return scatter(path, d.Size, bytes, seed)
	}
	mke2fs, err := exec.LookPath("mke2fs")
	if err != nil {
		mke2fs = "/usr/sbin/mke2fs"
	}
	if _, err := os.Stat(mke2fs); err != nil {
		return fmt.Errorf("a disk with an ext4 tree needs mke2fs (Debian: apt install e2fsprogs)")
	}
	tree := path + ".tree"
	defer os.RemoveAll(tree)
	if err := makeTree(tree, bytes, seed); err != nil {
		return err
	}
	id := stableUUID("", fmt.Sprint("ext4 ", seed))
	cmd := exec.Command(mke2fs, "-q", "-F", "-t", "ext4", "-m", "0", "-U", id,
		"-E", "lazy_itable_init=1,hash_seed="+id+",root_owner=0:0,nodiscard", "-d", tree, path)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("mke2fs: %w: %s", err, out)
	}
	return nil
}

// words make compressible text, as logs and configuration are.
var words = strings.Fields("the server accepted a connection from user session 0x7f closed after timeout retry error none ok info debug path /var/lib/data key value true false null 127.0.0.1 GET POST 200 404 select insert update where id name stamp")

// fillRandom fills p with noise or with text.
func fillRandom(p []byte, r *rand.Rand, text bool) {
	if !text {
		for i := 0; i+8 <= len(p); i += 8 {
			v := r.Uint64()
			for k := 0; k < 8; k++ {
				p[i+k] = byte(v >> (8 * k))
			}
		}
		for i := len(p) &^ 7; i < len(p); i++ {
			p[i] = byte(r.Uint32())
		}
		return
	}
	for i := 0; i < len(p); {
		i += copy(p[i:], words[r.IntN(len(words))])
		if i < len(p) {
			p[i] = " \n"[r.IntN(8)/7]
			i++
		}
	}
}

// material is text and noise that the files are cut out of.
var material = sync.OnceValues(func() (text, noise []byte) {
	r := rand.New(rand.NewPCG(1, 4))
	text, noise = make([]byte, 8<<20), make([]byte, 8<<20)
	fillRandom(text, r, true)
	fillRandom(noise, r, false)
	return text, noise
})

// makeTree writes about total bytes of files of mixed size and content.
func makeTree(root string, total int64, seed uint64) error {
	r := rand.New(rand.NewPCG(seed, 1))
	dirs := []string{"etc", "usr/bin", "usr/lib/modules", "usr/share/doc", "var/log", "var/lib/db", "home/alice", "srv/www"}
	for _, d := range dirs {
		if err := os.MkdirAll(filepath.Join(root, d), 0o755); err != nil {
			return err
		}
	}
	text, noise := material()
	stamp := time.Date(2024, 3, 1, 12, 0, 0, 0, time.UTC)
	for n := 0; total > 0; n++ {
		size := int64(1) << (10 + r.IntN(13)) // 1 KiB to 4 MiB
		size = min(size+int64(r.IntN(1000)), total, 4<<20)
		src := text
		if n%3 == 2 {
			src = noise
		}
		at := r.IntN(len(src) - int(size))
		name := filepath.Join(root, dirs[n%len(dirs)], fmt.Sprintf("file-%05d", n))
		if err := os.WriteFile(name, src[at:at+int(size)], 0o644); err != nil {
			return err
		}
		if err := os.Chtimes(name, stamp, stamp); err != nil {
			return err
		}
		total -= size
	}
	return nil
}

// scatter writes runs of data over a disk without a file system.
func scatter(path string, size, bytes int64, seed uint64) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	r := rand.New(rand.NewPCG(seed, 2))
	buf := make([]byte, 256<<10)
	for i := int64(0); bytes > 0; i++ {
		n := min(int64(len(buf)), size)
		fillRandom(buf[:n], r, i%2 == 0)
		at := int64(0)
		if i > 0 && size > n {
			at = r.Int64N(size-n) &^ 4095
		}
		if _, err := f.WriteAt(buf[:n], at); err != nil {
			return err
		}
		bytes -= n
	}
	return f.Close()
}

// sparseCopy copies a file without filling its holes.
func sparseCopy(from, to string) error {
	src, err := os.Open(from)
	if err != nil {
		return err
	}
	defer src.Close()
	st, err := src.Stat()
	if err != nil {
		return err
	}
	if err := sparse(to, st.Size()); err != nil {
		return err
	}
	dst, err := os.OpenFile(to, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer dst.Close()
	buf := make([]byte, 1<<20)
	var failed error
	err = eachExtent(src, st.Size(), func(off, end int64) {
		for failed == nil && off < end {
			n := min(int64(len(buf)), end-off)
			if _, failed = src.ReadAt(buf[:n], off); failed == nil {
				_, failed = dst.WriteAt(buf[:n], off)
			}
			off += n
		}
	})
	if err == nil {
		err = failed
	}
	if err != nil {
		return err
	}
	return dst.Close()
}
