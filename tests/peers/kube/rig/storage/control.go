package storage

import (
	"encoding/json"
	"errors"
	"io/fs"
	"net/http"
	"os"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// serveVolume tells where the bytes behind a claim can be read.
func (d *driver) serveVolume(w http.ResponseWriter, r *http.Request) {
	handle, err := d.boundHandle(r.Context(), r.PathValue("namespace"), r.PathValue("claim"))
	if apierrors.IsNotFound(err) {
		http.Error(w, err.Error(), http.StatusNotFound)
		return
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusConflict)
		return
	}
	info, err := d.volumes.Info(handle)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	path, err := d.volumes.DiskImage(handle)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	_, err = os.Stat(path)
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]any{
		"path": path, "mode": info.Mode, "size": info.SizeBytes, "exists": !errors.Is(err, fs.ErrNotExist),
	})
}
