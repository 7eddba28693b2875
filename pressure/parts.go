package pressure

import "math/bits"

// partSizes are the sizes in which the old interface counts, each four times
// the one before, and how many of each there are at most; of the largest
// there are as many as it takes.
type partSizes struct {
	sizes [5]uint64
	most  uint64
}

func memoryParts() partSizes {
	return partSizes{[5]uint64{256 << 10, 1 << 20, 4 << 20, 16 << 20, 64 << 20}, 20}
}

func diskParts() partSizes {
	return partSizes{[5]uint64{512 << 10, 2 << 20, 8 << 20, 32 << 20, 128 << 20}, 25}
}

// split is how many parts of each size make so many bytes, or a little more:
// as many as there may be of each size, the smallest first. What then remains
// is less than a part, and is rounded up to the smallest size of which three
// are enough for it; where there may be no more of that size, four are one of
// the next.
func (p partSizes) split(bytes uint64) [5]uint64 {
	counts, rest := p.whole(bytes)
	for i, size := range p.sizes {
		if rest <= 3*size || i == len(p.sizes)-1 {
			counts[i] += (rest + size - 1) / size
			break
		}
	}
	return p.carry(counts)
}

// tight is split with what remains made of parts of every size, so that the sum
// is above by less than the smallest.
func (p partSizes) tight(bytes uint64) [5]uint64 {
	counts, rest := p.whole(bytes)
	rest = (rest + p.sizes[0] - 1) / p.sizes[0] * p.sizes[0]
	for i := len(p.sizes) - 1; i >= 0; i-- {
		counts[i] += rest / p.sizes[i]
		rest %= p.sizes[i]
	}
	return p.carry(counts)
}

// fit splits so many bytes, tightly where the sum would otherwise be over the
// limit; ok is false if it is all the same.
func (p partSizes) fit(bytes, limit uint64) (counts [5]uint64, ok bool) {
	if bytes > limit {
		return counts, false
	}
	counts = p.split(bytes)
	if sum, ok := p.sum(counts); ok && sum <= limit {
		return counts, true
	}
	counts = p.tight(bytes)
	sum, ok := p.sum(counts)
	return counts, ok && sum <= limit
}

// whole is as many parts as there may be, the smallest first, and what remains.
func (p partSizes) whole(bytes uint64) (counts [5]uint64, rest uint64) {
	rest = bytes
	for i, size := range p.sizes {
		counts[i] = rest / size
		if last := i == len(p.sizes)-1; !last && counts[i] > p.most {
			counts[i] = p.most
			rest -= counts[i] * size
			continue
		}
		return counts, rest - counts[i]*size
	}
	return counts, rest
}

func (p partSizes) carry(counts [5]uint64) [5]uint64 {
	for i := range len(counts) - 1 {
		for counts[i] > p.most {
			counts[i] -= 4
			counts[i+1]++
		}
	}
	return counts
}

// within is how many whole parts so many bytes are, of those that counts has:
// the smallest first.
func (p partSizes) within(bytes uint64, counts [5]uint64) (whole [5]uint64) {
	for i, size := range p.sizes {
		whole[i] = min(counts[i], bytes/size)
		bytes -= whole[i] * size
		if whole[i] < counts[i] {
			break
		}
	}
	return whole
}

// sum is how many bytes they are; ok is false if 64 bits do not hold that.
func (p partSizes) sum(counts [5]uint64) (bytes uint64, ok bool) {
	for i, n := range counts {
		high, low := bits.Mul64(n, p.sizes[i])
		var carry uint64
		bytes, carry = bits.Add64(bytes, low, 0)
		if high != 0 || carry != 0 {
			return 0, false
		}
	}
	return bytes, true
}

// list are the sizes of all parts, the smallest first.
func (p partSizes) list(counts [5]uint64) (all []int64) {
	for i, n := range counts {
		for range n {
			all = append(all, int64(p.sizes[i]))
		}
	}
	return all
}
