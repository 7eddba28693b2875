package scenario

// nearest is the candidate with the fewest edits from word, if it is near
// enough to be what was meant, or "".
func nearest(word string, candidates []string) string {
	best, fewest := "", min(max(2, len(word)/3)+1, len(word))
	for _, c := range candidates {
		if n := edits(word, c, fewest); n < fewest {
			best, fewest = c, n
		}
	}
	return best
}

// edits is the optimal string alignment distance of a and b (insertions,
// deletions, changes and exchanges of neighbours), or limit if their lengths
// alone make it at least that.
func edits(a, b string, limit int) int {
	if d := len(a) - len(b); d >= limit || -d >= limit {
		return limit
	}
	before, last := make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		now := make([]int, len(b)+1)
		now[0] = i
		for j := 1; j <= len(b); j++ {
			change := 1
			if a[i-1] == b[j-1] {
				change = 0
			}
			now[j] = min(last[j]+1, now[j-1]+1, last[j-1]+change)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				now[j] = min(now[j], before[j-2]+1)
			}
		}
		before, last = last, now
	}
	return last[len(b)]
}
