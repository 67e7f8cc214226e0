//! The complexity of the paper's networks (Table IV), and of what this program computes.

mod common;

use std::process::Command;

use burn::module::Module;
use burn::tensor::Device;
use rrsis::complexity::{Complexity, Cost, TABLE_IV};
use rrsis::network::{Bert, CrossScale, LgceNetwork, NetworkConfig};

/// The three networks of Table IV, in its order, with Swin-B and BERT-base.
fn table_iv_networks() -> [NetworkConfig; 3] {
    let lgce = NetworkConfig {
        cross_scale: CrossScale::Upstream,
        ..NetworkConfig::lgce_swin_b()
    };
    let lavt = NetworkConfig {
        lgce: None,
        ..lgce.clone()
    };
    let without_fusion = NetworkConfig {
        cross_scale: CrossScale::None,
        ..lgce.clone()
    };
    [lavt, without_fusion, lgce]
}

fn cost(parameters: u64, macs: u64, flops: u64) -> Cost {
    Cost {
        parameters,
        macs,
        flops,
    }
}

/// To the last digit what the profiler of the public code prints.
#[test]
fn the_papers_counting_gives_table_iv() {
    let exact = [
        cost(118_847_866, 191_913_025_536, 384_268_308_600),
        cost(160_476_794, 199_493_607_424, 399_443_357_816),
        cost(167_366_138, 200_442_568_704, 401_344_744_056),
    ];
    let printed = |value: f64| format!("{value:.2}");
    for ((config, exact), row) in table_iv_networks().iter().zip(exact).zip(TABLE_IV) {
        let total = Complexity::of(config).paper.total;
        assert_eq!(total, exact, "{}", row.method);
        assert_eq!(
            [
                printed(total.flops as f64 / 1e9),
                printed(total.parameters as f64 / 1e6),
                printed(total.macs as f64 / 1e9),
            ],
            [row.gflops, row.mparameters, row.gmacs].map(printed),
            "{}",
            row.method
        );
    }
}

/// The form of the fusion changes what is computed, not what the paper counted.
#[test]
fn the_default_preset_gives_the_papers_row() {
    let complexity = Complexity::of(&NetworkConfig::lgce_swin_b());
    assert_eq!(complexity.paper.total.macs, 200_442_568_704);
    let [_, _, upstream] = table_iv_networks();
    let upstream = Complexity::of(&upstream);
    assert!(complexity.actual.total.macs > upstream.actual.total.macs);
}

#[test]
fn all_products_and_bert_are_in_the_actual_count() {
    let giga = |macs: u64| format!("{:.1}", macs as f64 / 1e9);
    let [lavt, _, lgce] = table_iv_networks().map(|config| Complexity::of(&config).actual);
    let bert = lgce.block("BERT embeddings").macs + lgce.block("BERT layers").macs;
    assert_eq!(giga(bert), "1.7");
    assert_eq!(giga(lgce.total.macs - bert), "206.5");
    assert_eq!(giga(lavt.total.macs - bert), "196.8");
}

/// The count walks the configuration; the network is built from the same configuration elsewhere.
#[test]
fn the_actual_parameters_are_those_of_the_network() {
    let device = Device::flex();
    let mut small = NetworkConfig::rrsis_small();
    small.window = 7;
    small.mlp_ratio = 3.0;
    let [lavt, without_fusion, lgce] = table_iv_networks();
    let paper = NetworkConfig::lgce_swin_b();
    for config in [small, lavt, without_fusion, lgce, paper] {
        let actual = Complexity::of(&config).actual;
        let bert =
            actual.block("BERT embeddings").parameters + actual.block("BERT layers").parameters;
        assert_eq!(bert, Bert::new(&config.bert, &device).num_params() as u64);
        // Burn counts the running mean and variance of six batch normalisations too.
        let statistics = 12 * config.decoder_hidden as u64;
        let vision = LgceNetwork::new(&config, &device).num_params() as u64;
        assert_eq!(
            actual.total.parameters - bert,
            vision - statistics,
            "{config:?}"
        );
    }
}

#[test]
fn only_the_papers_counting_has_blocks_that_nothing_depends_on() {
    let [_, _, lgce] = table_iv_networks();
    let complexity = Complexity::of(&lgce);
    let unused: u64 = complexity
        .paper
        .blocks
        .iter()
        .filter(|block| block.name.contains("unused"))
        .map(|block| block.cost.parameters)
        .sum();
    assert_eq!(unused, 14_788_736);
    let bert: u64 = ["BERT embeddings", "BERT layers"]
        .map(|name| complexity.actual.block(name).parameters)
        .iter()
        .sum();
    assert_eq!(
        complexity.paper.total.parameters - unused,
        complexity.actual.total.parameters - bert
    );
}

#[test]
fn the_command_prints_table_iv_and_writes_every_block() {
    let folder = tempfile::tempdir().expect("temporary directory");
    let run = |arguments: &[&str]| {
        Command::new(env!("CARGO_BIN_EXE_rrsis"))
            .arg("complexity")
            .args(arguments)
            .current_dir(folder.path())
            .output()
            .expect("runs")
    };
    let output = run(&["--config", "lgce-swin-b", "--json", "out/complexity.json"]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{output:?}");
    for number in ["200,442,568,704", "401.34", "167.37", "384.27", "160.48"] {
        assert!(text.contains(number), "{number} is not in:\n{text}");
    }
    let json = common::read(folder.path().join("out/complexity.json"));
    let json: serde_json::Value = serde_json::from_slice(&json).expect("JSON");
    assert_eq!(json["paper"]["total"]["flops"], 401_344_744_056_u64);
    let blocks = json["actual"]["blocks"].as_array().expect("blocks");
    let sum: u64 = blocks
        .iter()
        .map(|block| block["macs"].as_u64().expect("MACs"))
        .sum();
    assert_eq!(json["actual"]["total"]["macs"], sum);

    // A file is as good as a preset; a mistake in it is told with its place.
    let config = serde_json::to_string_pretty(&NetworkConfig::rrsis_small()).expect("JSON");
    std::fs::write(folder.path().join("good.json"), &config).expect("writable");
    assert!(run(&["--config", "good.json"]).status.success());
    let misspelt = config.replace("\"window\"", "\"windows\"");
    std::fs::write(folder.path().join("bad.json"), misspelt).expect("writable");
    let odd = config.replace("\"image_size\": 512", "\"image_size\": 500");
    std::fs::write(folder.path().join("odd.json"), odd).expect("writable");
    for (config, words) in [
        ("bad.json", &["bad.json", "windows", "`window`", "line"][..]),
        ("odd.json", &["image_size", "500", "multiple of 32"]),
        ("absent.json", &["absent.json"]),
        ("swin-z", &["swin-z", "rrsis-small"]),
    ] {
        let output = run(&["--config", config]);
        let message = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{message}");
        for word in words {
            assert!(message.contains(word), "\"{word}\" is not in: {message}");
        }
    }
}
