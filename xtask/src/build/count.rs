//! A module that counts the instructions it executes: the same in every run, where times are not.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use walrus::ir::{
    BinaryOp, Binop, Const, GlobalGet, GlobalSet, Instr, InstrLocId, InstrSeqId, Value,
};
use walrus::{ConstExpr, GlobalId, LocalFunction, ValType};

use super::assemble;

/// The exported global that counts.
const COUNTER: &str = "instructions";

/// Puts the module called `name` of a built site into `destination`, as it lies in the site but counting.
pub fn counting_copy(site: &Path, name: &str, destination: &Path) -> Result<()> {
    let (from, to) = (site.join("pkg"), destination.join("pkg"));
    fs::create_dir_all(&to).with_context(|| format!("cannot create {}", to.display()))?;
    // The script imports from beside its folder.
    assemble::copy(&site.join("lib"), &destination.join("lib"))?;
    fs::write(destination.join("package.json"), r#"{ "type": "module" }"#)?;
    let script = format!("{name}.js");
    let wasm = format!("{name}_bg.wasm");
    let read = |file: &str| {
        let path = from.join(file);
        fs::read(&path).with_context(|| format!("cannot read {}", path.display()))
    };
    fs::write(to.join(&script), read(&script)?)?;
    let counting = instrument(&read(&wasm)?)
        .with_context(|| format!("{wasm} cannot be made to count its instructions"))?;
    fs::write(to.join(&wasm), counting)?;
    Ok(())
}

/// The same module with a global, exported as `instructions`, of how many instructions it has executed.
///
/// Those that move and make values (`local.*`, `*.const`, `drop`) and those that only bracket others (`block`,
/// `loop`) are left out: a compiler makes nothing of most of them.
fn instrument(wasm: &[u8]) -> Result<Vec<u8>> {
    let mut module = walrus::ModuleConfig::new()
        .strict_validate(false)
        .generate_producers_section(false)
        .parse(wasm)?;
    let zero = ConstExpr::Value(Value::I64(0));
    let counter = module.globals.add_local(ValType::I64, true, false, zero);
    module.exports.add(COUNTER, counter);
    for (_, function) in module.funcs.iter_local_mut() {
        for sequence in sequences(function) {
            let instructions = &mut function.block_mut(sequence).instrs;
            *instructions = counted(std::mem::take(instructions), counter);
        }
    }
    Ok(module.emit_wasm())
}

/// All sequences of a function, each once.
fn sequences(function: &LocalFunction) -> Vec<InstrSeqId> {
    let mut found = vec![function.entry_block()];
    let mut at = 0;
    while let Some(&sequence) = found.get(at) {
        for (instruction, _) in &function.block(sequence).instrs {
            match instruction {
                Instr::Block(block) => found.push(block.seq),
                Instr::Loop(body) => found.push(body.seq),
                Instr::IfElse(arms) => found.extend([arms.consequent, arms.alternative]),
                Instr::TryTable(tried) => found.push(tried.seq),
                _ => {}
            }
        }
        at += 1;
    }
    found
}

/// A sequence in which each run of instructions that are executed together is counted at its start.
fn counted(instructions: Vec<(Instr, InstrLocId)>, counter: GlobalId) -> Vec<(Instr, InstrLocId)> {
    let mut out = Vec::with_capacity(instructions.len() + 8);
    let mut together = Vec::new();
    for entry in instructions {
        let last = may_leave(&entry.0);
        together.push(entry);
        if last {
            flush(&mut together, &mut out, counter);
        }
    }
    flush(&mut together, &mut out, counter);
    out
}

fn flush(
    together: &mut Vec<(Instr, InstrLocId)>,
    out: &mut Vec<(Instr, InstrLocId)>,
    counter: GlobalId,
) {
    let count = together.iter().filter(|(instr, _)| works(instr)).count();
    if count > 0 {
        let value = Value::I64(count as i64);
        let step: [Instr; 4] = [
            GlobalGet { global: counter }.into(),
            Const { value }.into(),
            Binop {
                op: BinaryOp::I64Add,
            }
            .into(),
            GlobalSet { global: counter }.into(),
        ];
        out.extend(step.map(|instruction| (instruction, InstrLocId::default())));
    }
    out.append(together);
}

/// Whether what follows an instruction in its sequence may be left out.
fn may_leave(instruction: &Instr) -> bool {
    matches!(
        instruction,
        Instr::Block(_)
            | Instr::Loop(_)
            | Instr::IfElse(_)
            | Instr::TryTable(_)
            | Instr::Br(_)
            | Instr::BrIf(_)
            | Instr::BrTable(_)
            | Instr::Return(_)
            | Instr::Unreachable(_)
    )
}

fn works(instruction: &Instr) -> bool {
    !matches!(
        instruction,
        Instr::LocalGet(_)
            | Instr::LocalSet(_)
            | Instr::LocalTee(_)
            | Instr::Const(_)
            | Instr::Drop(_)
            | Instr::Block(_)
            | Instr::Loop(_)
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use walrus::ir::UnaryOp;
    use walrus::{FunctionBuilder, Module, ValType};

    use super::*;

    /// What is added to the counter, in the order in which the module says it.
    fn steps(wasm: &[u8]) -> Vec<i64> {
        let module = Module::from_buffer(wasm).unwrap();
        let function = module.funcs.iter_local().next().unwrap().1;
        let mut found = Vec::new();
        for sequence in sequences(function) {
            for at in function.block(sequence).instrs.windows(2) {
                if let (Instr::GlobalGet(_), Instr::Const(step)) = (&at[0].0, &at[1].0)
                    && let Value::I64(step) = step.value
                {
                    found.push(step);
                }
            }
        }
        found
    }

    /// `loop { x -= 1; if x == 7 { return }; br_if x }`, and a product behind it.
    fn countdown() -> Vec<u8> {
        let mut module = Module::default();
        let x = module.locals.add(ValType::I32);
        let mut function = FunctionBuilder::new(&mut module.types, &[ValType::I32], &[]);
        function
            .func_body()
            .loop_(None, |body| {
                let again = body.id();
                body.local_get(x)
                    .i32_const(1)
                    .binop(BinaryOp::I32Sub)
                    .local_tee(x)
                    .i32_const(7)
                    .binop(BinaryOp::I32Eq)
                    .if_else(
                        None,
                        |then| {
                            then.return_();
                        },
                        |_| {},
                    )
                    .local_get(x)
                    .unop(UnaryOp::I32Eqz)
                    .unop(UnaryOp::I32Eqz)
                    .br_if(again);
            })
            .local_get(x)
            .local_get(x)
            .binop(BinaryOp::I32Mul)
            .drop();
        let function = function.finish(vec![x], &mut module.funcs);
        module.exports.add("countdown", function);
        module.emit_wasm()
    }

    #[test]
    fn what_is_executed_together_is_counted_where_it_begins() {
        let counting = instrument(&countdown()).unwrap();
        // The product; subtraction, comparison and `if`; both signs and the branch; the return.
        assert_eq!(steps(&counting), [1, 3, 3, 1]);
        assert!(steps(&countdown()).is_empty());
    }

    #[test]
    fn it_tells_its_count_and_has_what_it_had() {
        let module = Module::from_buffer(&instrument(&countdown()).unwrap()).unwrap();
        let names: Vec<&str> = module.exports.iter().map(|e| e.name.as_str()).collect();
        assert_eq!(names, ["countdown", COUNTER]);
    }
}
