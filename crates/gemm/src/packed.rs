//! A product of f32 matrices in tiles of 4 x 8, four lanes at a time.
//!
//! The right side is copied into panels of 8 columns, a block of [`DEPTH`] rows at a time, so that
//! the innermost loop walks through memory in order; the left side is read where it lies, one value
//! of each of 4 rows at a time. Eight sums of four lanes stay in registers for a whole block.
//!
//! Four lanes are `v128` on WebAssembly and an array elsewhere, where tests compare the same code
//! with the definition.

use std::cell::RefCell;

/// Rows and columns of a tile.
const ROWS: usize = 4;
const COLUMNS: usize = 8;
/// Rows of the right side in a block: a panel of it takes 8 KB and stays in the first-level cache.
const DEPTH: usize = 256;
/// Columns of the right side in a block: all its panels take 512 KB at most and stay in the second.
const WIDTH: usize = 512;
/// Rows of the left side that are copied at a time where its rows do not lie in order.
const HEIGHT: usize = 64;

/// A matrix in memory.
#[derive(Clone, Copy)]
pub struct Matrix {
    first: *mut f32,
    /// Step from a row to the next, and from a column to the next.
    row: isize,
    column: isize,
}

impl Matrix {
    /// `row` and `column`: steps to the next of each.
    pub fn new(first: *mut f32, row: isize, column: isize) -> Self {
        Self { first, row, column }
    }

    fn transposed(self) -> Self {
        Self {
            first: self.first,
            row: self.column,
            column: self.row,
        }
    }

    fn at(self, row: usize, column: usize) -> *mut f32 {
        let step = row as isize * self.row + column as isize * self.column;
        self.first.wrapping_offset(step)
    }
}

thread_local! {
    /// Panels of the right and, where needed, of the left side; kept from product to product.
    static SCRATCH: RefCell<(Vec<f32>, Vec<f32>)> = const { RefCell::new((Vec::new(), Vec::new())) };
}

/// `dst := alpha dst + beta lhs rhs`; without `alpha` what `dst` holds is not read.
///
/// `[m, n, k]`: `lhs` is `m x k`, `rhs` is `k x n`.
///
/// # Safety
/// The matrices must lie in memory that may be read, and for `dst` written, which overlaps neither
/// of the others nor itself.
pub unsafe fn gemm(
    [m, n, k]: [usize; 3],
    dst: Matrix,
    alpha: Option<f32>,
    lhs: Matrix,
    rhs: Matrix,
    beta: f32,
) {
    // Rows of the result are written in order.
    if dst.row.abs() < dst.column.abs() {
        // SAFETY: the same product, transposed.
        unsafe {
            gemm_by_rows(
                [n, m, k],
                dst.transposed(),
                alpha,
                rhs.transposed(),
                lhs.transposed(),
                beta,
            );
        }
    } else {
        // SAFETY: passed on.
        unsafe { gemm_by_rows([m, n, k], dst, alpha, lhs, rhs, beta) }
    }
}

unsafe fn gemm_by_rows(
    [m, n, k]: [usize; 3],
    dst: Matrix,
    alpha: Option<f32>,
    lhs: Matrix,
    rhs: Matrix,
    beta: f32,
) {
    if k == 0 {
        for (row, column) in (0..m).flat_map(|row| (0..n).map(move |column| (row, column))) {
            let place = dst.at(row, column);
            // SAFETY: inside dst.
            unsafe { *place = alpha.map_or(0.0, |alpha| alpha * *place) };
        }
        return;
    }
    SCRATCH.with_borrow_mut(|(right, left)| {
        for column in (0..n).step_by(WIDTH) {
            let width = WIDTH.min(n - column);
            for depth in (0..k).step_by(DEPTH) {
                let length = DEPTH.min(k - depth);
                // What earlier blocks have summed up is there already.
                let alpha = if depth == 0 { alpha } else { Some(1.0) };
                // SAFETY: blocks inside the matrices.
                unsafe {
                    pack_right(right, rhs, depth, length, column, width);
                    for row in (0..m).step_by(HEIGHT) {
                        let height = HEIGHT.min(m - row);
                        let block = if lhs.column == 1 {
                            Matrix {
                                first: lhs.at(row, depth),
                                ..lhs
                            }
                        } else {
                            pack_left(left, lhs, row, height, depth, length)
                        };
                        for panel in (0..width).step_by(COLUMNS) {
                            let panel_of_right = right.as_ptr().add(panel * length);
                            for tile in (0..height).step_by(ROWS) {
                                let rows = ROWS.min(height - tile);
                                let columns = COLUMNS.min(width - panel);
                                let sums = product(block, tile, rows, panel_of_right, length);
                                let place = Matrix {
                                    first: dst.at(row + tile, column + panel),
                                    ..dst
                                };
                                write(place, rows, columns, &sums, alpha, beta);
                            }
                        }
                    }
                }
            }
        }
    });
}

/// A block of the right side as panels: for each row its 8 values, zeros beyond the last column.
unsafe fn pack_right(
    panels: &mut Vec<f32>,
    rhs: Matrix,
    depth: usize,
    length: usize,
    column: usize,
    width: usize,
) {
    let size = width.div_ceil(COLUMNS) * COLUMNS * length;
    if panels.len() < size {
        panels.resize(size, 0.0);
    }
    let mut out = panels.as_mut_ptr();
    for panel in (0..width).step_by(COLUMNS) {
        let columns = COLUMNS.min(width - panel);
        for row in 0..length {
            let values = rhs.at(depth + row, column + panel);
            // SAFETY: inside rhs, and inside the panels.
            unsafe {
                if columns == COLUMNS && rhs.column == 1 {
                    Lanes::load(values).store(out);
                    Lanes::load(values.add(4)).store(out.add(4));
                } else {
                    for index in 0..COLUMNS {
                        *out.add(index) = if index < columns {
                            *values.wrapping_offset(index as isize * rhs.column)
                        } else {
                            0.0
                        };
                    }
                }
                out = out.add(COLUMNS);
            }
        }
    }
}

/// A block of the left side with its rows in order.
unsafe fn pack_left(
    copy: &mut Vec<f32>,
    lhs: Matrix,
    row: usize,
    height: usize,
    depth: usize,
    length: usize,
) -> Matrix {
    let size = height * length;
    if copy.len() < size {
        copy.resize(size, 0.0);
    }
    for column in 0..length {
        for index in 0..height {
            // SAFETY: inside lhs.
            copy[index * length + column] = unsafe { *lhs.at(row + index, depth + column) };
        }
    }
    Matrix::new(copy.as_mut_ptr(), length as isize, 1)
}

/// Sums of a tile: `rows` rows of the block from `tile` on (whose columns lie in order) with a panel.
#[inline(always)]
unsafe fn product(
    block: Matrix,
    tile: usize,
    rows: usize,
    panel: *const f32,
    length: usize,
) -> [[Lanes; 2]; ROWS] {
    // Rows that are missing at the end are those of the last one, and are not written.
    let row = |index: usize| block.at(tile + index.min(rows - 1), 0).cast_const();
    let (a0, a1, a2, a3) = (row(0), row(1), row(2), row(3));
    let zero = Lanes::splat(0.0);
    let mut sums = [[zero; 2]; ROWS];
    let mut at = panel;
    for index in 0..length {
        // SAFETY: the panel holds 8 values for each of `length` rows, each row of the block as many.
        unsafe {
            let (left, right) = (Lanes::load(at), Lanes::load(at.add(4)));
            for (sums, values) in sums.iter_mut().zip([a0, a1, a2, a3]) {
                let value = Lanes::load_splat(values.add(index));
                sums[0] = sums[0].plus(value.times(left));
                sums[1] = sums[1].plus(value.times(right));
            }
            at = at.add(COLUMNS);
        }
    }
    sums
}

#[inline(always)]
unsafe fn write(
    place: Matrix,
    rows: usize,
    columns: usize,
    sums: &[[Lanes; 2]; ROWS],
    alpha: Option<f32>,
    beta: f32,
) {
    let beta = Lanes::splat(beta);
    for (row, sums) in sums.iter().enumerate().take(rows) {
        for (half, sum) in sums.iter().enumerate() {
            let sum = sum.times(beta);
            let first = half * 4;
            if first >= columns {
                break;
            }
            let to = place.at(row, first);
            // SAFETY: inside dst.
            unsafe {
                if place.column == 1 && first + 4 <= columns {
                    match alpha {
                        None => sum.store(to),
                        Some(alpha) => Lanes::load(to)
                            .times(Lanes::splat(alpha))
                            .plus(sum)
                            .store(to),
                    }
                } else {
                    let mut values = [0.0; 4];
                    sum.store(values.as_mut_ptr());
                    for (index, value) in values.iter().enumerate().take(columns - first) {
                        let to = to.wrapping_offset(index as isize * place.column);
                        *to = value + alpha.map_or(0.0, |alpha| alpha * *to);
                    }
                }
            }
        }
    }
}

/// Four lanes.
#[derive(Clone, Copy)]
#[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
struct Lanes(core::arch::wasm32::v128);

#[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
impl Lanes {
    #[inline(always)]
    fn splat(value: f32) -> Self {
        Self(core::arch::wasm32::f32x4_splat(value))
    }
    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: passed on; alignment does not matter to it.
        Self(unsafe { core::arch::wasm32::v128_load(from.cast()) })
    }
    #[inline(always)]
    unsafe fn load_splat(from: *const f32) -> Self {
        // SAFETY: passed on.
        Self(unsafe { core::arch::wasm32::v128_load32_splat(from.cast()) })
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: passed on.
        unsafe { core::arch::wasm32::v128_store(to.cast(), self.0) }
    }
    #[inline(always)]
    fn plus(self, other: Self) -> Self {
        Self(core::arch::wasm32::f32x4_add(self.0, other.0))
    }
    #[inline(always)]
    fn times(self, other: Self) -> Self {
        Self(core::arch::wasm32::f32x4_mul(self.0, other.0))
    }
}

/// Four lanes, for the tests.
#[derive(Clone, Copy)]
#[cfg(not(all(target_arch = "wasm32", target_feature = "simd128")))]
struct Lanes([f32; 4]);

#[cfg(not(all(target_arch = "wasm32", target_feature = "simd128")))]
impl Lanes {
    fn splat(value: f32) -> Self {
        Self([value; 4])
    }
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: passed on.
        Self(unsafe { from.cast::<[f32; 4]>().read_unaligned() })
    }
    unsafe fn load_splat(from: *const f32) -> Self {
        // SAFETY: passed on.
        Self::splat(unsafe { *from })
    }
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: passed on.
        unsafe { to.cast::<[f32; 4]>().write_unaligned(self.0) }
    }
    fn plus(self, other: Self) -> Self {
        Self(std::array::from_fn(|lane| self.0[lane] + other.0[lane]))
    }
    fn times(self, other: Self) -> Self {
        Self(std::array::from_fn(|lane| self.0[lane] * other.0[lane]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Small whole numbers: sums are exact in any order.
    fn values(count: usize, seed: usize) -> Vec<f32> {
        (0..count)
            .map(|index| ((index * 7 + seed * 13) % 11) as f32 - 5.0)
            .collect()
    }

    /// A matrix of `rows` x `columns` in one of four layouts, and the memory it takes.
    fn layout(kind: usize, rows: usize, columns: usize, memory: &mut [f32]) -> Matrix {
        let first = memory.as_mut_ptr();
        let (rows, columns) = (rows as isize, columns as isize);
        match kind {
            0 => Matrix::new(first, columns, 1),
            1 => Matrix::new(first, 1, rows),
            // With gaps.
            2 => Matrix::new(first, 3 * columns + 1, 3),
            // Backwards.
            _ => Matrix::new(first.wrapping_offset(rows * columns - 1), -columns, -1),
        }
    }

    #[test]
    fn every_size_layout_and_factor_gives_the_definition() {
        let sizes = [
            [1, 1, 1],
            [4, 8, 3],
            [5, 9, 7],
            [3, 17, 40],
            [70, 20, 5],
            [2, 520, 3],
            [9, 3, 600],
            [0, 3, 2],
            [3, 0, 2],
            [3, 2, 0],
            [65, 9, 257],
        ];
        for [m, n, k] in sizes {
            for kinds in 0..64 {
                let (of_dst, of_lhs, of_rhs) = (kinds % 4, kinds / 4 % 4, kinds / 16);
                for (alpha, beta) in [(None, 1.0), (Some(1.0), 1.0), (Some(-2.0), 0.5)] {
                    let room = |rows: usize, columns: usize| 3 * rows * columns + rows + 8;
                    let mut dst = values(room(m, n), 1);
                    let mut lhs = values(room(m, k), 2);
                    let mut rhs = values(room(k, n), 3);
                    let before = dst.clone();
                    let right = layout(of_rhs, k, n, &mut rhs);
                    let left = layout(of_lhs, m, k, &mut lhs);
                    let result = layout(of_dst, m, n, &mut dst);
                    // Infinity where nothing may be read shows in the result.
                    let mut expected = before.clone();
                    for (row, column) in (0..m).flat_map(|row| (0..n).map(move |c| (row, c))) {
                        let sum: f32 = (0..k)
                            // SAFETY: inside the memory above.
                            .map(|at| unsafe { *left.at(row, at) * *right.at(at, column) })
                            .sum();
                        let place = result.at(row, column);
                        // SAFETY: the same memory.
                        let index = unsafe { place.offset_from(dst.as_ptr()) } as usize;
                        expected[index] =
                            beta * sum + alpha.map_or(0.0, |alpha: f32| alpha * before[index]);
                    }
                    // SAFETY: the matrices lie in the memory above.
                    unsafe { gemm([m, n, k], result, alpha, left, right, beta) };
                    assert_eq!(
                        dst, expected,
                        "{m} x {n} x {k}, layouts {of_dst} {of_lhs} {of_rhs}, {alpha:?} {beta}"
                    );
                }
            }
        }
    }

    /// Natively the original computes, for every type.
    #[test]
    fn the_original_gives_the_same() {
        fn product<T: Copy + 'static>(lhs: &[T], rhs: &[T], zero: T, one: T) -> Vec<T> {
            let mut dst = vec![one; 6];
            // SAFETY: 2 x 4 and 4 x 3, row by row; dst column by column.
            unsafe {
                crate::gemm(
                    2,
                    3,
                    4,
                    dst.as_mut_ptr(),
                    2,
                    1,
                    true,
                    lhs.as_ptr(),
                    1,
                    4,
                    rhs.as_ptr(),
                    1,
                    3,
                    zero,
                    one,
                    false,
                    false,
                    false,
                    crate::Parallelism::None,
                );
            }
            dst
        }
        let lhs: Vec<f32> = (1..9).map(|value| value as f32).collect();
        let rhs: Vec<f32> = (1..13).map(|value| value as f32).collect();
        let expected = [70.0, 158.0, 80.0, 184.0, 90.0, 210.0];
        assert_eq!(product(&lhs, &rhs, 0.0, 1.0), expected);
        let double = |values: &[f32]| {
            values
                .iter()
                .map(|value| f64::from(*value))
                .collect::<Vec<f64>>()
        };
        assert_eq!(
            product(&double(&lhs), &double(&rhs), 0.0, 1.0),
            double(&expected)
        );
    }
}
