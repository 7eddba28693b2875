package pressure

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// ParseBytes reads a size: a whole number of bytes, or a decimal number with a
// unit from K to E, with or without "i" and "B" behind it: 1536, 1.5K, 2GiB.
// All units are powers of 1024.
func ParseBytes(text string) (int64, error) {
	number := strings.TrimSuffix(text, "B")
	number = strings.TrimSuffix(number, "i")
	factor := int64(1)
	if n := len(number); n > 0 {
		if i := strings.IndexByte("KMGTPE", number[n-1]); i >= 0 {
			factor, number = 1<<(10*(i+1)), number[:n-1]
		}
	}
	bad := fmt.Errorf("%q is no size: want a number of bytes, or one with a unit such as 512M or 1.5GiB", text)
	if factor == 1 && strings.Contains(text, "i") || number == "" || strings.Trim(number, "0123456789.") != "" {
		return 0, bad
	}
	if n, err := strconv.ParseInt(number, 10, 64); err == nil {
		if n > math.MaxInt64/factor {
			return 0, fmt.Errorf("%q is too large: a size is below 8 EiB", text)
		}
		return n * factor, nil
	}
	f, err := strconv.ParseFloat(number, 64)
	if err != nil || factor == 1 && strings.Contains(number, ".") {
		return 0, bad
	}
	if f *= float64(factor); f >= math.MaxInt64 {
		return 0, fmt.Errorf("%q is too large: a size is below 8 EiB", text)
	}
	return int64(f), nil
}
