// Part of kernels.c: the registers of AMX, eight tiles of 16 rows of 64 bytes, and their plain
// twin, by which what is written for tiles runs, and is tested, on every processor.
//
// TILE_MULTIPLY adds to the 16 x 16 floats of one tile the product of two others: 16 x 32 numbers
// of bf16, and 32 x 16, of which two rows lie as one row of pairs. Tiles are named by constants.
enum {
    TILE_SIDE = 16,  // rows, floats of a row, pairs
    TILE_DEPTH = 32, // numbers of bf16 that a multiplication sums up
    TILE_HALVES = TILE_SIDE * TILE_DEPTH,
    TILE_FLOATS = TILE_SIDE * TILE_SIDE
};

#ifdef __AMX_BF16__

// As the processor wants to read it (Intel's manual, volume 1, 18.3.2): palette 1, all tiles whole.
struct tile_shapes {
    uint8_t palette, start_row, reserved[14];
    uint16_t row_bytes[16];
    uint8_t rows[16];
};

static inline void tiles_begin(void)
{
    static const struct tile_shapes shapes __attribute__((aligned(64))) = {
        .palette = 1,
        .row_bytes = {64, 64, 64, 64, 64, 64, 64, 64},
        .rows = {16, 16, 16, 16, 16, 16, 16, 16},
    };
    __asm__ volatile("ldtilecfg %0" : : "m"(shapes));
}

static inline void tiles_end(void)
{
    __asm__ volatile("tilerelease" : : : "memory");
}

// The compiler's own words for these do not tell it that they read memory.
#define TILES_HERE
#define TILE_ZERO(t) __asm__ volatile("tilezero %%tmm" #t : :)
#define TILE_LOAD(t, from, step)                                                                   \
    __asm__ volatile("tileloadd (%0,%1,1), %%tmm" #t                                               \
                     :                                                                             \
                     : "r"((const void *)(from)), "r"((size_t)(step))                              \
                     : "memory")
#define TILE_STORE(t, to, step)                                                                    \
    __asm__ volatile("tilestored %%tmm" #t ", (%0,%1,1)"                                           \
                     :                                                                             \
                     : "r"((void *)(to)), "r"((size_t)(step))                                      \
                     : "memory")
#define TILE_MULTIPLY(sum, a, b)                                                                   \
    __asm__ volatile("tdpbf16ps %%tmm" #b ", %%tmm" #a ", %%tmm" #sum : :)

#else

union tile {
    uint16_t half[TILE_SIDE][TILE_DEPTH];
    float f[TILE_SIDE][TILE_SIDE];
};

static inline void tiles_begin(void)
{
}

static inline void tiles_end(void)
{
}

static inline void tile_copy(void *to, size_t to_step, const void *from, size_t from_step)
{
    for (size_t r = 0; r < TILE_SIDE; r++)
        memcpy((char *)to + r * to_step, (const char *)from + r * from_step, 64);
}

static inline void tile_multiply(union tile *sum, const union tile *a, const union tile *b)
{
    for (int r = 0; r < TILE_SIDE; r++)
        for (int k = 0; k < TILE_DEPTH; k++) {
            float v = load1_bf16(&a->half[r][k]);
            for (int c = 0; c < TILE_SIDE; c++)
                sum->f[r][c] += v * load1_bf16(&b->half[k / 2][2 * c + k % 2]);
        }
}

#define TILES_HERE               union tile tiles_[8]
#define TILE_ZERO(t)             memset(&tiles_[t], 0, sizeof tiles_[t])
#define TILE_LOAD(t, from, step) tile_copy(&tiles_[t], 64, from, step)
#define TILE_STORE(t, to, step)  tile_copy(to, step, &tiles_[t], 64)
#define TILE_MULTIPLY(sum, a, b) tile_multiply(&tiles_[sum], &tiles_[a], &tiles_[b])

#endif

// --- from pixels to tiles ---
// Two pixels of up to 2 x 16 channels as rows of pairs: one for each 16 channels, `apart` from each
// other.
static inline void tile_pair(const uint16_t *left, const uint16_t *right, int blocks, uint16_t *to,
                             size_t apart)
{
#ifdef __AVX512BW__
    if (blocks == 2) {
        static const uint16_t order[2 * TILE_DEPTH] __attribute__((aligned(64))) = {
            0,  32, 1,  33, 2,  34, 3,  35, 4,  36, 5,  37, 6,  38, 7,  39, 8,  40, 9,  41, 10, 42,
            11, 43, 12, 44, 13, 45, 14, 46, 15, 47, 16, 48, 17, 49, 18, 50, 19, 51, 20, 52, 21, 53,
            22, 54, 23, 55, 24, 56, 25, 57, 26, 58, 27, 59, 28, 60, 29, 61, 30, 62, 31, 63};
        __m512i l = _mm512_loadu_si512(left), r = _mm512_loadu_si512(right);
        _mm512_store_si512(to, _mm512_permutex2var_epi16(l, _mm512_load_si512(order), r));
        _mm512_store_si512(to + apart,
                           _mm512_permutex2var_epi16(l, _mm512_load_si512(order + TILE_DEPTH), r));
        return;
    }
    __m512i l = _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)left));
    __m512i r = _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)right));
    _mm512_store_si512(to, _mm512_or_si512(l, _mm512_slli_epi32(r, 16)));
#else
    for (int c = 0; c < blocks * TILE_SIDE; c++) {
        uint16_t *pair = to + (size_t)(c / TILE_SIDE) * apart + 2 * (c % TILE_SIDE);
        pair[0] = left[c];
        pair[1] = right[c];
    }
#endif
}

// 32 pixels of 16 channels as a tile with a row for each channel.
static inline void tile_turn(const uint16_t *const pixel[TILE_DEPTH], size_t offset, uint16_t *to)
{
#ifdef __AVX512BW__
    for (size_t half = 0; half < 2; half++) {
        __m512i r[8], s[8];
        // Lanes are pixels 8 apart: what is left to do, stays within lanes.
        for (int i = 0; i < 8; i++) {
#define LANE(k) _mm_loadu_si128((const __m128i *)(pixel[i + 8 * (k)] + offset + 8 * half))
            r[i] = _mm512_castsi128_si512(LANE(0));
            r[i] = _mm512_inserti32x4(r[i], LANE(1), 1);
            r[i] = _mm512_inserti32x4(r[i], LANE(2), 2);
            r[i] = _mm512_inserti32x4(r[i], LANE(3), 3);
#undef LANE
        }
        for (int i = 0; i < 4; i++) {
            s[2 * i] = _mm512_unpacklo_epi16(r[2 * i], r[2 * i + 1]);
            s[2 * i + 1] = _mm512_unpackhi_epi16(r[2 * i], r[2 * i + 1]);
        }
        for (int i = 0; i < 2; i++)
            for (int k = 0; k < 2; k++) {
                r[4 * i + 2 * k] = _mm512_unpacklo_epi32(s[4 * i + k], s[4 * i + 2 + k]);
                r[4 * i + 2 * k + 1] = _mm512_unpackhi_epi32(s[4 * i + k], s[4 * i + 2 + k]);
            }
        for (int k = 0; k < 4; k++) {
            uint16_t *row = to + (8 * half + 2 * (size_t)k) * TILE_DEPTH;
            _mm512_store_si512(row, _mm512_unpacklo_epi64(r[k], r[4 + k]));
            _mm512_store_si512(row + TILE_DEPTH, _mm512_unpackhi_epi64(r[k], r[4 + k]));
        }
    }
#else
    for (int c = 0; c < TILE_SIDE; c++)
        for (int i = 0; i < TILE_DEPTH; i++)
            to[c * TILE_DEPTH + i] = pixel[i][offset + (size_t)c];
#endif
}
