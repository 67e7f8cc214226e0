//! 256 bits on x86-64: AVX2 and FMA, and for products of bytes VNNI where there is one.

use core::arch::x86_64::*;

use super::{Code, Simd, Task, Weight};

/// Floats of a vector.
pub(crate) const LANES: usize = 8;

/// `DOT`: what products of bytes are made of, one of those below.
pub(crate) struct Avx<const DOT: u8>;

/// Sums of two, then of four: every processor with AVX2.
const PAIRS: u8 = 0;
/// One instruction, in the extension of AVX-512.
const AVX512_VNNI: u8 = 1;
/// The same, in its encoding for processors without AVX-512.
const AVX_VNNI: u8 = 2;

/// Whether the processor has it.
#[inline]
pub(crate) fn available() -> bool {
    std::is_x86_feature_detected!("avx2") && std::is_x86_feature_detected!("fma")
}

/// # Safety
/// Where [`available`] only.
#[target_feature(enable = "avx2,fma")]
pub(crate) unsafe fn run<T: Task>(task: T) {
    // SAFETY: passed on.
    unsafe { task.run::<Avx<PAIRS>>() }
}

/// As [`run`], for products of integers.
///
/// # Safety
/// Where [`available`] only.
#[inline]
pub(crate) unsafe fn run_integers<T: Task>(task: T) {
    #[target_feature(enable = "avx2,fma,avx512vnni,avx512vl")]
    unsafe fn avx512_vnni<T: Task>(task: T) {
        // SAFETY: passed on.
        unsafe { task.run::<Avx<AVX512_VNNI>>() }
    }
    #[target_feature(enable = "avx2,fma,avxvnni")]
    unsafe fn avx_vnni<T: Task>(task: T) {
        // SAFETY: passed on.
        unsafe { task.run::<Avx<AVX_VNNI>>() }
    }
    // SAFETY: the processor was asked.
    unsafe {
        if std::is_x86_feature_detected!("avx512vnni") && std::is_x86_feature_detected!("avx512vl")
        {
            avx512_vnni(task);
        } else if std::is_x86_feature_detected!("avxvnni") {
            avx_vnni(task);
        } else {
            run(task);
        }
    }
}

/// All lanes by `fold`, half and half.
#[inline(always)]
unsafe fn folded(values: __m256, fold: unsafe fn(__m128, __m128) -> __m128) -> f32 {
    // SAFETY: the caller's promises.
    unsafe {
        let four = fold(
            _mm256_castps256_ps128(values),
            _mm256_extractf128_ps::<1>(values),
        );
        let two = fold(four, _mm_movehl_ps(four, four));
        _mm_cvtss_f32(fold(two, _mm_movehdup_ps(two)))
    }
}

// SAFETY of all blocks below: the caller's promises are passed on.
impl<const DOT: u8> Simd for Avx<DOT> {
    const LANES: usize = LANES;
    type Floats = __m256;
    type Integers = __m256i;
    type Weights = __m256i;

    #[inline(always)]
    unsafe fn splat(value: f32) -> __m256 {
        unsafe { _mm256_set1_ps(value) }
    }
    #[inline(always)]
    unsafe fn load(from: *const f32) -> __m256 {
        unsafe { _mm256_loadu_ps(from) }
    }
    #[inline(always)]
    unsafe fn load_splat(from: *const f32) -> __m256 {
        unsafe { _mm256_set1_ps(*from) }
    }
    #[inline(always)]
    unsafe fn store(values: __m256, to: *mut f32) {
        unsafe { _mm256_storeu_ps(to, values) }
    }
    #[inline(always)]
    unsafe fn add(a: __m256, b: __m256) -> __m256 {
        unsafe { _mm256_add_ps(a, b) }
    }
    #[inline(always)]
    unsafe fn sub(a: __m256, b: __m256) -> __m256 {
        unsafe { _mm256_sub_ps(a, b) }
    }
    #[inline(always)]
    unsafe fn div(a: __m256, b: __m256) -> __m256 {
        unsafe { _mm256_div_ps(a, b) }
    }
    #[inline(always)]
    unsafe fn abs(a: __m256) -> __m256 {
        unsafe { _mm256_andnot_ps(_mm256_set1_ps(-0.0), a) }
    }
    #[inline(always)]
    unsafe fn at_least(value: __m256, low: __m256) -> __m256 {
        // The second operand is what comes out where one is a NaN.
        unsafe { _mm256_max_ps(low, value) }
    }
    #[inline(always)]
    unsafe fn at_most(value: __m256, high: __m256) -> __m256 {
        unsafe { _mm256_min_ps(high, value) }
    }
    #[inline(always)]
    unsafe fn where_less(a: __m256, b: __m256, yes: __m256, no: __m256) -> __m256 {
        unsafe { _mm256_blendv_ps(no, yes, _mm256_cmp_ps::<_CMP_LT_OQ>(a, b)) }
    }
    #[inline(always)]
    unsafe fn power_of_two(bits: __m256) -> __m256 {
        unsafe {
            let exponent = _mm256_slli_epi32::<23>(_mm256_castps_si256(bits));
            _mm256_castsi256_ps(exponent)
        }
    }
    #[inline(always)]
    unsafe fn mul(a: __m256, b: __m256) -> __m256 {
        unsafe { _mm256_mul_ps(a, b) }
    }
    #[inline(always)]
    unsafe fn mul_add(a: __m256, b: __m256, c: __m256) -> __m256 {
        unsafe { _mm256_fmadd_ps(a, b, c) }
    }

    #[inline(always)]
    unsafe fn sum(values: __m256) -> f32 {
        unsafe { folded(values, _mm_add_ps) }
    }
    #[inline(always)]
    unsafe fn lowest(values: __m256) -> f32 {
        unsafe { folded(values, _mm_min_ps) }
    }
    #[inline(always)]
    unsafe fn highest(values: __m256) -> f32 {
        unsafe { folded(values, _mm_max_ps) }
    }

    #[inline(always)]
    unsafe fn zeros() -> __m256i {
        unsafe { _mm256_setzero_si256() }
    }
    #[inline(always)]
    unsafe fn load_weights(from: *const Weight) -> __m256i {
        unsafe { _mm256_loadu_si256(from.cast()) }
    }
    #[inline(always)]
    unsafe fn load_codes(from: *const Code) -> __m256i {
        unsafe { _mm256_set1_epi32(from.cast::<i32>().read_unaligned()) }
    }
    #[inline(always)]
    unsafe fn along() -> __m256i {
        unsafe { _mm256_set1_epi16(1) }
    }
    #[inline(always)]
    unsafe fn dot(sums: __m256i, weights: __m256i, codes: __m256i, ones: __m256i) -> __m256i {
        unsafe {
            match DOT {
                AVX512_VNNI => _mm256_dpbusd_epi32(sums, codes, weights),
                AVX_VNNI => _mm256_dpbusd_avx_epi32(sums, codes, weights),
                _ => {
                    // Codes are below 128, so that the sums of two products fit 16 bits.
                    let pairs = _mm256_maddubs_epi16(codes, weights);
                    _mm256_add_epi32(sums, _mm256_madd_epi16(pairs, ones))
                }
            }
        }
    }
    #[inline(always)]
    unsafe fn dot_twice(
        sums: __m256i,
        weights: [__m256i; 2],
        codes: [__m256i; 2],
        ones: __m256i,
    ) -> __m256i {
        unsafe {
            if DOT == PAIRS {
                let pairs = _mm256_maddubs_epi16(codes[0], weights[0]);
                let more = _mm256_maddubs_epi16(codes[1], weights[1]);
                let fours = _mm256_add_epi16(pairs, more);
                return _mm256_add_epi32(sums, _mm256_madd_epi16(fours, ones));
            }
            let sums = Self::dot(sums, weights[0], codes[0], ones);
            Self::dot(sums, weights[1], codes[1], ones)
        }
    }
    const PAIRED: bool = DOT == PAIRS;
    #[inline(always)]
    unsafe fn dot_four(
        sums: __m256i,
        [a, b, c, d]: [__m256i; 4],
        codes: [__m256i; 4],
        ones: __m256i,
    ) -> __m256i {
        unsafe {
            let pairs = [
                _mm256_maddubs_epi16(codes[0], a),
                _mm256_maddubs_epi16(codes[1], b),
                _mm256_maddubs_epi16(codes[2], c),
                _mm256_maddubs_epi16(codes[3], d),
            ];
            let halves = [
                _mm256_add_epi16(pairs[0], pairs[1]),
                _mm256_add_epi16(pairs[2], pairs[3]),
            ];
            let eights = _mm256_add_epi16(halves[0], halves[1]);
            _mm256_add_epi32(sums, _mm256_madd_epi16(eights, ones))
        }
    }
    #[inline(always)]
    unsafe fn to_floats(values: __m256i) -> __m256 {
        unsafe { _mm256_cvtepi32_ps(values) }
    }
    #[inline(always)]
    unsafe fn store_codes(bits: __m256, picker: __m256, to: *mut Code) {
        unsafe {
            let codes = _mm256_castps_si256(_mm256_and_ps(bits, picker));
            // Both halves on their own: four codes at the beginning of each.
            let words = _mm256_packs_epi32(codes, codes);
            let bytes = _mm256_packus_epi16(words, words);
            let to = to.cast::<i32>();
            to.write_unaligned(_mm256_extract_epi32::<0>(bytes));
            to.add(1).write_unaligned(_mm256_extract_epi32::<4>(bytes));
        }
    }
}
