package refstore

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"hash"
	"io"
	"strings"
)

// chunkReader decodes a body in the aws-chunked encoding:
//
//	SIZE-IN-HEX[;chunk-signature=HEX]\r\n
//	bytes\r\n
//	…
//	0[;chunk-signature=HEX]\r\n
//	[NAME:VALUE\r\n]
//	\r\n
//
// The end of the body must follow at once. Errors are io.ErrUnexpectedEOF,
// those of the reader below, and *Error.
type chunkReader struct {
	r       *bufio.Reader
	left    int64       // of the chunk being read
	begun   bool        // a chunk is being read
	over    bool        // all has been read, trailer included
	chain   *chunkChain // nil: chunks are not signed
	trailer Field       // the one that came; the zero value if none did
}

const (
	chunkLineMax = 1 << 10 // bytes of a line between chunks
	chunkSigned  = ";chunk-signature="
)

func newChunkReader(r io.Reader, chain *chunkChain) *chunkReader {
	return &chunkReader{r: bufio.NewReaderSize(r, chunkLineMax), chain: chain}
}

// Read gives decoded bytes.
func (c *chunkReader) Read(p []byte) (int, error) {
	if c.over {
		return 0, io.EOF
	}
	if len(p) == 0 {
		return 0, nil
	}
	if !c.begun {
		if err := c.begin(); err != nil {
			return 0, err
		}
		if c.left == 0 {
			if err := c.end(); err != nil {
				return 0, err
			}
			c.over = true
			return 0, io.EOF
		}
	}
	n, err := c.r.Read(p[:min(int64(len(p)), c.left)])
	c.left -= int64(n)
	if c.chain != nil {
		c.chain.data.Write(p[:n])
	}
	if err != nil {
		return n, early(err)
	}
	if c.left == 0 {
		if err := c.finish(); err != nil {
			return n, err
		}
	}
	return n, nil
}

// begin reads the line before a chunk.
func (c *chunkReader) begin() error {
	line, err := c.line()
	if err != nil {
		return err
	}
	size, signature, hasSignature := strings.Cut(line, chunkSigned)
	if hasSignature != (c.chain != nil) {
		return ErrInvalidChunk
	}
	if c.left, err = chunkSize(size); err != nil {
		return err
	}
	c.begun = true
	if c.chain != nil {
		c.chain.begin(signature)
	}
	return nil
}

// chunkSize reads up to 15 hexadecimal digits, so that no sign and no overflow
// can come in.
func chunkSize(s string) (int64, error) {
	if len(s) == 0 || len(s) > 15 {
		return 0, ErrInvalidChunk
	}
	s = strings.ToLower(s)
	var n int64
	for i := range len(s) {
		digit := strings.IndexByte("0123456789abcdef", s[i])
		if digit < 0 {
			return 0, ErrInvalidChunk
		}
		n = n<<4 | int64(digit)
	}
	return n, nil
}

// finish reads the line end behind a chunk.
func (c *chunkReader) finish() error {
	c.begun = false
	if c.chain != nil {
		if err := c.chain.verify(); err != nil {
			return err
		}
	}
	if line, err := c.line(); err != nil || line != "" {
		return errors.Join(err, chunkUnless(err))
	}
	return nil
}

// end reads what follows the last chunk.
func (c *chunkReader) end() error {
	if c.chain != nil {
		if err := c.chain.verify(); err != nil {
			return err
		}
	}
	line, err := c.line()
	if err != nil {
		return err
	}
	if line != "" {
		name, value, found := strings.Cut(line, ":")
		if !found || c.chain != nil {
			return ErrMalformedTrailer
		}
		c.trailer = Field{strings.ToLower(strings.TrimSpace(name)), strings.TrimSpace(value)}
		if line, err = c.line(); err != nil {
			return err
		}
		if line != "" {
			return ErrMalformedTrailer
		}
	}
	if _, err := c.r.ReadByte(); err != io.EOF {
		return errors.Join(err, chunkUnless(err))
	}
	return nil
}

// chunkUnless is ErrInvalidChunk where nothing went wrong with reading.
func chunkUnless(err error) error {
	if err != nil {
		return nil
	}
	return ErrInvalidChunk
}

// line reads a line that ends in \r\n, without its end.
func (c *chunkReader) line() (string, error) {
	line, err := c.r.ReadSlice('\n')
	switch {
	case errors.Is(err, bufio.ErrBufferFull):
		return "", ErrInvalidChunk
	case err != nil:
		return "", early(err)
	case !bytes.HasSuffix(line, []byte("\r\n")):
		return "", ErrInvalidChunk
	}
	return string(line[:len(line)-2]), nil
}

// chunkChain verifies the signatures of chunks: each covers that of the chunk
// before, the first that of the request.
type chunkChain struct {
	signed   *signed
	previous string
	claimed  string
	data     hash.Hash
}

func newChunkChain(s *signed) *chunkChain {
	return &chunkChain{signed: s, previous: s.signature, data: sha256.New()}
}

func (c *chunkChain) begin(signature string) {
	c.claimed = signature
	c.data.Reset()
}

func (c *chunkChain) verify() error {
	text := algorithm + "-PAYLOAD\n" + c.signed.time + "\n" + c.signed.scope + "\n" +
		c.previous + "\n" + emptySHA256 + "\n" + hex.EncodeToString(c.data.Sum(nil))
	want := hex.EncodeToString(c.signed.key.sign([]byte(text)))
	if subtle.ConstantTimeCompare([]byte(want), []byte(c.claimed)) != 1 {
		return ErrSignatureDoesNotMatch.because("the signature of a chunk does not match")
	}
	c.previous = want
	return nil
}
