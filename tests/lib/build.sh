#!/bin/sh
# build.sh PRESET: configure and build one preset, from the top of the tree.
set -eu
cmake --preset "$1"
cmake --build "build/$1"
