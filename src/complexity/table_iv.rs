//! Table IV of the paper, as printed.

use serde::Serialize;

/// One row of Table IV.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct TableRow {
    /// The network.
    pub method: &'static str,
    /// FLOPs in units of 1e9.
    pub gflops: f64,
    /// Parameters in units of 1e6.
    pub mparameters: f64,
    /// Multiply-accumulates in units of 1e9.
    pub gmacs: f64,
}

/// The rows for networks that a configuration of this program can be.
pub const TABLE_IV: &[TableRow] = &[
    TableRow {
        method: "LAVT",
        gflops: 384.27,
        mparameters: 118.85,
        gmacs: 191.91,
    },
    TableRow {
        method: "LGCE without cross-scale fusion",
        gflops: 399.44,
        mparameters: 160.48,
        gmacs: 199.49,
    },
    TableRow {
        method: "LGCE",
        gflops: 401.34,
        mparameters: 167.37,
        gmacs: 200.44,
    },
];
