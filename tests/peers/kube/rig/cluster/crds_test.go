package cluster

import (
	"os"
	"path/filepath"
	"testing"
)

func TestReadCRDs(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"cdi.json":      `{"kind":"A","metadata":{"name":"a"}}` + "\n" + `{"kind":"A","metadata":{"name":"b"},"status":{}}`,
		"snapshot.yaml": "# words\n---\nkind: A\nmetadata:\n  name: c\n---\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	all, err := readCRDs(dir, nil)
	if err != nil || len(all) != 3 || all[1].GetName() != "b" || all[1].Object["status"] != nil || all[2].GetName() != "c" {
		t.Fatalf("got %v, %v", all, err)
	}
	some, err := readCRDs(dir, []string{"cdi"})
	if err != nil || len(some) != 1 || some[0].GetName() != "c" {
		t.Fatalf("got %v, %v", some, err)
	}
	if _, err := readCRDs(dir, []string{"cdi", "snapshot"}); err == nil {
		t.Fatal("nothing to load was taken")
	}
	if err := os.WriteFile(filepath.Join(dir, "z.json"), []byte(`{"kind":`), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := readCRDs(dir, nil); err == nil {
		t.Fatal("half a document was taken")
	}
}
