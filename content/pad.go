package content

import "encoding/binary"

// pad is what every sector is combined with, so that the copies of its
// identity do not look like copies. It is the same for all seeds: what two
// bytes 24 apart differ by then depends only on where in a sector they belong,
// and shifted data can be found by looking that difference up. Word j is draw
// j of seed 0. It is spelled out because it is the format; a test compares.
var pad = [sectorWords]uint64{
	0xa706dd2f4d197e6f, 0xb382a305f4414f5e, 0x631a9154fbabf717, 0xa80aba8c86640906,
	0xc9b5ae106698f0bb, 0x256fa269a2420ea1, 0xc755bbac848bcebe, 0x43dec8be6926a4de,
	0x600fb8d528d256a9, 0x9194d5bff03b9779, 0x66c8ff35dab54690, 0x1a78f208b81b6137,
	0x151cf79d6673264e, 0x8dbd341ca7bf651c, 0x907942417876970a, 0x59ae167a9f4eef28,
	0xb261ed1e4b1129d6, 0xc69b1c2a5cab4611, 0xd6bc11d8e561c17d, 0x14eec318993d548b,
	0xfac084f8f3679599, 0x954c07992ea95376, 0x9f70f6dd29f16beb, 0xc89842ea495b423c,
	0x86d9f2b11dc17fb8, 0xc5d59200d91ec87e, 0x17b1afe0e47e0eff, 0x65f4d8c4ae26f436,
	0x72ae7de4f65726f6, 0x438661ab632f03e5, 0x6c5085290b1eb02c, 0x4393b7e94f7ccbe4,
	0x3ebb3e811bb57e88, 0x62cecf224777a77e, 0xd9afb26b0b665a78, 0xcd694592871bdf4a,
	0xeaac67b760a6ab0b, 0x5e46d0fc08d848ca, 0x0bdbd9f1815c1f2c, 0x0c51523d30c41df8,
	0xce4b8b966caba686, 0x7bccf5fce6644ff0, 0xa978b83670fc890b, 0xb5a3ba89d5302406,
	0xeef761428072c98d, 0x4674ebaba62e97fd, 0x4d3aa4e0e97deddc, 0x08d8993b7c528b75,
	0x3d1abfce5650bf57, 0x4b98bbf26fd3c12c, 0xde3445327d8b6097, 0x076e2f477f2c1546,
	0xb9030f3ad4fbffa7, 0x2cf1276963f7c894, 0x9c4f58e5c0ac11f0, 0x15857f0a428d4cc3,
	0x774c07f905cc775d, 0x7b6732735ee83172, 0xc3509a54273247b7, 0x223d00dedf7be6c3,
	0xe5360a9ecf64b689, 0xb19526f96db20f1b, 0x4d41f8e19325c798, 0x44f2575499dafdef,
}

// padBytes is pad as the bytes of a sector.
var padBytes = func() (b [SectorSize]byte) {
	for j, w := range pad {
		binary.LittleEndian.PutUint64(b[8*j:], w)
	}
	return b
}()
