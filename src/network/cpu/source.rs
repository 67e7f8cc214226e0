//! Where parameters come from while a network takes its form for plain CPUs.

use burn::module::Module;

/// Parameters that modules do not have yet.
///
/// All of them in f32 beside their packed form are the most that loading takes, and a browser's program
/// never gives memory back. So a part of a network gets its parameters right before it is packed, and is
/// gone before the next one gets its own.
pub trait Source {
    /// `module`, which lies at `path` below the root of the network, with its parameters. What does not fit is
    /// kept in mind, for whoever has the source to ask.
    fn fill<M: Module>(&mut self, module: M, path: &str) -> M;

    /// Gives the rows of the table at `path` to `take`, some at a time; false, and nothing is given, where
    /// the module has them, or the table is not of this shape.
    fn rows(&mut self, _path: &str, _shape: [usize; 2], _take: impl FnMut(&[f32])) -> bool {
        false
    }

    /// As [`Self::fill`], for each of a list.
    fn fill_each<'a, M: Module + 'a>(
        &'a mut self,
        modules: Vec<M>,
        path: &'a str,
    ) -> impl Iterator<Item = M> + 'a
    where
        Self: Sized,
    {
        let modules = modules.into_iter().enumerate();
        modules.map(move |(index, module)| self.fill(module, &format!("{path}.{index}")))
    }
}

/// Nothing is to come: modules have their parameters.
#[derive(Clone, Copy, Debug)]
pub struct Filled;

impl Source for Filled {
    fn fill<M: Module>(&mut self, module: M, _path: &str) -> M {
        module
    }
}
