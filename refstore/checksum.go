package refstore

import (
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"hash"
	"hash/crc32"
	"hash/crc64"
)

// Checksum is what a client sent along with a body, in base64 of its
// big-endian bytes, as in the header x-amz-checksum-ALGORITHM.
type Checksum struct {
	Algorithm string // crc32, crc32c, crc64nvme, sha1 or sha256; empty: none
	Value     string
}

// checksumHeader begins the headers and trailers that carry a checksum.
const checksumHeader = "X-Amz-Checksum-"

// nvme is the reversed polynomial of CRC-64/NVME (NVM Command Set
// Specification 1.0, figure 119).
const nvme = 0x9a6c9329ac4bc9b5

// newChecksum is nil for an algorithm that S3 does not have.
func newChecksum(algorithm string) hash.Hash {
	switch algorithm {
	case "crc32":
		return crc32.NewIEEE()
	case "crc32c":
		return crc32.New(crc32.MakeTable(crc32.Castagnoli))
	case "crc64nvme":
		return crc64.New(crc64.MakeTable(nvme))
	case "sha1":
		return sha1.New()
	case "sha256":
		return sha256.New()
	default:
		return nil
	}
}

func (c Checksum) matches(h hash.Hash) bool {
	return base64.StdEncoding.EncodeToString(h.Sum(nil)) == c.Value
}
