//! What a network costs: parameters, multiply-accumulates and FLOPs, block by block (Table IV).
//!
//! Two countings stand side by side:
//!
//! * [`Counting::Paper`] is what Table IV of the paper reports: the public code's network, with its
//!   modules that nothing depends on, under the prices of the PyTorch package `flops_profiler` 0.1.
//!   The language encoder and most attention products are not in it.
//! * [`Counting::Actual`] is what this program computes: every product, the language encoder too,
//!   and nothing that is not used.
//!
//! Both are sums over the structure of a [`NetworkConfig`], at its image size, its number of word
//! pieces and batch 1; no network is built or run. [`ledger`] has the prices, [`walk`] the structure.

mod ledger;
mod table_iv;
mod walk;

use serde::Serialize;

use crate::network::NetworkConfig;

pub use self::table_iv::{TABLE_IV, TableRow};

/// Which operations count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counting {
    /// As in Table IV.
    Paper,
    /// What this program computes.
    Actual,
}

/// What one block, or all of them, cost for one image and one expression.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Cost {
    /// Learned numbers. Running statistics of batch normalisation are not among them.
    pub parameters: u64,
    /// Multiply-accumulates.
    pub macs: u64,
    /// Floating-point operations.
    pub flops: u64,
}

/// One block of the network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Block {
    /// In the paper's terms.
    pub name: String,
    /// Its cost.
    #[serde(flatten)]
    pub cost: Cost,
}

/// All blocks under one counting, in the order in which data flows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Count {
    /// Each block.
    pub blocks: Vec<Block>,
    /// Their sum.
    pub total: Cost,
}

/// A network under both countings.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Complexity {
    /// What was counted.
    pub config: NetworkConfig,
    /// As in Table IV.
    pub paper: Count,
    /// What this program computes.
    pub actual: Count,
    /// The rows of the paper's Table IV.
    pub table_iv: &'static [TableRow],
}

impl Complexity {
    /// Counts the network of `config`, which must be valid ([`NetworkConfig::validate`]).
    pub fn of(config: &NetworkConfig) -> Self {
        Self {
            config: config.clone(),
            paper: walk::count(config, Counting::Paper),
            actual: walk::count(config, Counting::Actual),
            table_iv: TABLE_IV,
        }
    }
}

impl Count {
    fn of(blocks: Vec<Block>) -> Self {
        let mut total = Cost::default();
        for Block { cost, .. } in &blocks {
            total.parameters += cost.parameters;
            total.macs += cost.macs;
            total.flops += cost.flops;
        }
        Self { blocks, total }
    }

    /// The cost of a block, zero where this counting does not have it.
    pub fn block(&self, name: &str) -> Cost {
        self.blocks
            .iter()
            .find(|block| block.name == name)
            .map_or_else(Cost::default, |block| block.cost)
    }
}
