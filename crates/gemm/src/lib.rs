//! The crate `gemm` 0.19 as burn-flex uses it, with one difference: on WebAssembly the f32 product
//! is [`packed`].
//!
//! `[patch.crates-io]` in the workspace puts it in the place of the original, so that every matrix
//! product and convolution of burn's CPU backend gets it without a fork of the backend. Elsewhere,
//! and for other types, everything goes on to the original's own parts.
//!
//! Why: gemm 0.19 has SIMD128 kernels, but in Chromium they reach a fifth of what the processor can
//! do (docs/benchmarks.md).

pub use gemm_common::Parallelism;
#[cfg(feature = "f16")]
pub use gemm_f16::f16;

use std::any::TypeId;

#[cfg(any(test, all(target_arch = "wasm32", target_feature = "simd128")))]
pub mod packed;

/// Where a matrix lies: its first element, and the steps to the next column and to the next row.
#[derive(Clone, Copy)]
struct Strided<P> {
    first: P,
    columns: isize,
    rows: isize,
}

/// `dst := alpha dst + beta lhs rhs`, or without the first term where `read_dst` is false.
///
/// `lhs` is `m x k`, `rhs` is `k x n`, `dst` is `m x n`; `_cs` is the step from a column to the next,
/// `_rs` from a row to the next.
///
/// # Safety
/// The pointers and steps must describe memory that may be read, and for `dst` written; `dst` must
/// not overlap the others, and its elements not each other.
///
/// # Panics
/// Where `T` is not f32, f64 or f16, or a conjugate is asked for: complex numbers are not built in.
pub unsafe fn gemm<T: Copy + 'static>(
    m: usize,
    n: usize,
    k: usize,
    dst: *mut T,
    dst_cs: isize,
    dst_rs: isize,
    read_dst: bool,
    lhs: *const T,
    lhs_cs: isize,
    lhs_rs: isize,
    rhs: *const T,
    rhs_cs: isize,
    rhs_rs: isize,
    alpha: T,
    beta: T,
    conj_dst: bool,
    conj_lhs: bool,
    conj_rhs: bool,
    parallelism: Parallelism,
) {
    assert!(
        !(conj_dst || conj_lhs || conj_rhs),
        "complex products are not built in"
    );
    let mut dst = Strided {
        first: dst,
        columns: dst_cs,
        rows: dst_rs,
    };
    let mut lhs = Strided {
        first: lhs,
        columns: lhs_cs,
        rows: lhs_rs,
    };
    let mut rhs = Strided {
        first: rhs,
        columns: rhs_cs,
        rows: rhs_rs,
    };

    #[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
    if TypeId::of::<T>() == TypeId::of::<f32>() {
        // SAFETY: T is f32, and the caller's promises are passed on.
        unsafe {
            packed::gemm(
                [m, n, k],
                packed::Matrix::new(dst.first.cast::<f32>(), dst.rows, dst.columns),
                read_dst.then(|| as_type(&alpha)),
                packed::Matrix::new(lhs.first.cast_mut().cast::<f32>(), lhs.rows, lhs.columns),
                packed::Matrix::new(rhs.first.cast_mut().cast::<f32>(), rhs.rows, rhs.columns),
                as_type(&beta),
            );
        }
        return;
    }

    // The kernels below want columns far apart, and steps that are not negative.
    let (mut m, mut n) = (m, n);
    if dst.columns.abs() < dst.rows.abs() {
        (m, n) = (n, m);
        (lhs, rhs) = (rhs, lhs);
        for matrix in [&mut lhs, &mut rhs] {
            std::mem::swap(&mut matrix.columns, &mut matrix.rows);
        }
        std::mem::swap(&mut dst.columns, &mut dst.rows);
    }
    if dst.rows < 0 && m > 0 {
        let last = m as isize - 1;
        dst.first = dst.first.wrapping_offset(last * dst.rows);
        lhs.first = lhs.first.wrapping_offset(last * lhs.rows);
        (dst.rows, lhs.rows) = (-dst.rows, -lhs.rows);
    }
    if dst.columns < 0 && n > 0 {
        let last = n as isize - 1;
        dst.first = dst.first.wrapping_offset(last * dst.columns);
        rhs.first = rhs.first.wrapping_offset(last * rhs.columns);
        (dst.columns, rhs.columns) = (-dst.columns, -rhs.columns);
    }
    if lhs.columns < 0 && k > 0 {
        let last = k as isize - 1;
        lhs.first = lhs.first.wrapping_offset(last * lhs.columns);
        rhs.first = rhs.first.wrapping_offset(last * rhs.rows);
        (lhs.columns, rhs.rows) = (-lhs.columns, -rhs.rows);
    }

    macro_rules! original {
        ($type:ty, $function:expr) => {
            if TypeId::of::<T>() == TypeId::of::<$type>() {
                // SAFETY: T is this type, and the caller's promises are passed on.
                unsafe {
                    $function(
                        m,
                        n,
                        k,
                        dst.first.cast::<$type>(),
                        dst.columns,
                        dst.rows,
                        read_dst,
                        lhs.first.cast::<$type>(),
                        lhs.columns,
                        lhs.rows,
                        rhs.first.cast::<$type>(),
                        rhs.columns,
                        rhs.rows,
                        as_type(&alpha),
                        as_type(&beta),
                        false,
                        false,
                        false,
                        parallelism,
                    );
                }
                return;
            }
        };
    }
    #[cfg(not(all(target_arch = "wasm32", target_feature = "simd128")))]
    original!(f32, gemm_f32::gemm::f32::get_gemm_fn());
    original!(f64, gemm_f64::gemm::f64::get_gemm_fn());
    #[cfg(feature = "f16")]
    original!(f16, gemm_f16::gemm::f16::get_gemm_fn());
    panic!(
        "products of {} are not built in",
        std::any::type_name::<T>()
    );
}

/// The value as what its type is known to be.
///
/// # Safety
/// `T` and `U` must be the same type.
unsafe fn as_type<T: Copy, U: Copy>(value: &T) -> U {
    debug_assert_eq!(size_of::<T>(), size_of::<U>());
    // SAFETY: the same type.
    unsafe { *std::ptr::from_ref(value).cast::<U>() }
}
