package runner

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// logLine bounds one line of a log file; longer ones are written in parts (tag P), as container
// runtimes do, and so is a last one without its line feed.
const logLine = 16 << 10

// logFiles take what a container writes, in the runtimes' format: TIME stdout|stderr F|P TEXT.
type logFiles struct {
	path           string
	stdout, stderr *os.File // write ends for the container

	mutex   sync.Mutex // guards file
	file    *os.File
	readers sync.WaitGroup
}

func newLog(folder, name string) (*logFiles, error) {
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return nil, err
	}
	l := &logFiles{path: filepath.Join(folder, name)}
	var err error
	if l.file, err = os.OpenFile(l.path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o640); err != nil {
		return nil, err
	}
	if l.stdout, err = l.pipe("stdout"); err == nil {
		l.stderr, err = l.pipe("stderr")
	}
	if err != nil {
		l.started()
		l.close()
		return nil, err
	}
	return l, nil
}

func (l *logFiles) pipe(name string) (*os.File, error) {
	reader, writer, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	l.readers.Add(1)
	go func() {
		defer l.readers.Done()
		defer reader.Close()
		l.copy(reader, name)
	}()
	return writer, nil
}

func (l *logFiles) copy(reader io.Reader, name string) {
	lines := bufio.NewReaderSize(reader, logLine)
	for {
		line, err := lines.ReadSlice('\n')
		if len(line) > 0 {
			tag := " F "
			if line[len(line)-1] != '\n' {
				tag = " P "
			}
			text := time.Now().UTC().Format(time.RFC3339Nano) + " " + name + tag + string(bytes.TrimSuffix(line, []byte("\n"))) + "\n"
			l.mutex.Lock()
			_, _ = l.file.WriteString(text)
			l.mutex.Unlock()
		}
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return
		}
	}
}

// started closes this process's copies of the write ends: the container has its own.
func (l *logFiles) started() {
	for _, file := range []*os.File{l.stdout, l.stderr} {
		if file != nil {
			file.Close()
		}
	}
}

// close returns once all that the container wrote is in the file.
func (l *logFiles) close() {
	l.readers.Wait()
	l.file.Close()
}

// entry is a line of a log file.
type entry struct {
	time time.Time
	text []byte // with its line feed when it is whole
}

func parseEntry(line []byte) (entry, bool) {
	stamp, rest, found := bytes.Cut(line, []byte(" "))
	_, rest, found2 := bytes.Cut(rest, []byte(" "))
	tag, text, found3 := bytes.Cut(rest, []byte(" "))
	at, err := time.Parse(time.RFC3339Nano, string(stamp))
	if !found || !found2 || !found3 || err != nil {
		return entry{}, false
	}
	if string(tag) == "P" {
		text = bytes.TrimSuffix(text, []byte("\n"))
	}
	return entry{time: at, text: text}, true
}

// readEntries are the whole lines of a log file from an offset on, and the offset after them.
func readEntries(path string, offset int64) ([]entry, int64, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, offset, err
	}
	defer file.Close()
	if _, err := file.Seek(offset, io.SeekStart); err != nil {
		return nil, offset, err
	}
	content, err := io.ReadAll(file)
	if err != nil {
		return nil, offset, err
	}
	content = content[:bytes.LastIndexByte(content, '\n')+1]
	var entries []entry
	for _, line := range bytes.SplitAfter(content, []byte("\n")) {
		if e, ok := parseEntry(line); ok {
			entries = append(entries, e)
		}
	}
	return entries, offset + int64(len(content)), nil
}

// tailText is the end of a log, at most that many lines and bytes.
func tailText(path string, lines, limit int) (string, error) {
	entries, _, err := readEntries(path, 0)
	if err != nil {
		return "", err
	}
	var text []byte
	for _, e := range tail(entries, int64(lines)) {
		text = append(text, e.text...)
	}
	text = text[max(0, len(text)-limit):]
	return string(bytes.ToValidUTF8(text, []byte("\uFFFD"))), nil
}

// tail counts lines, not parts of lines.
func tail(entries []entry, lines int64) []entry {
	count := int64(0)
	for i := len(entries) - 1; i >= 0; i-- {
		if i == len(entries)-1 || bytes.HasSuffix(entries[i].text, []byte("\n")) {
			count++
		}
		if count > lines {
			return entries[i+1:]
		}
	}
	return entries
}

// readHead is the beginning of a file.
func readHead(path string, limit int64) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return io.ReadAll(io.LimitReader(file, limit))
}
