package main

import "math/bits"

// bitset counts the blocks of one disk.
type bitset []uint64

func newBitset(n int64) bitset { return make(bitset, (n+63)/64) }

func (b bitset) get(i int64) bool { return b[i/64]&(1<<(i%64)) != 0 }

func (b bitset) set(i int64) { b[i/64] |= 1 << (i % 64) }

func (b bitset) unset(i int64) { b[i/64] &^= 1 << (i % 64) }

func (b bitset) or(o bitset) {
	for i := range o {
		b[i] |= o[i]
	}
}

func (b bitset) clone() bitset { return append(bitset(nil), b...) }

func (b bitset) count() int64 {
	n := 0
	for _, w := range b {
		n += bits.OnesCount64(w)
	}
	return int64(n)
}

// next returns the first set bit at or after i, or -1.
func (b bitset) next(i int64) int64 {
	for w := i / 64; w < int64(len(b)); w++ {
		v := b[w]
		if w == i/64 {
			v &= ^uint64(0) << (i % 64)
		}
		if v != 0 {
			return w*64 + int64(bits.TrailingZeros64(v))
		}
	}
	return -1
}
