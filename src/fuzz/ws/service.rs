//! The service behind the host: it says a pattern of its own to each who calls it, and goes as it likes until all is
//! calm.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use super::SERVICE;
use crate::base::rng::Rng;
use crate::fuzz::cast::{any_ending, slow_reader, source};
use crate::sim::{Behaviour, Ending};

/// What is known of it, and told to it.
#[derive(Clone, Default)]
pub(super) struct Service {
    /// How much it says to each caller, by the caller's number.
    pub(super) said: Rc<RefCell<Vec<u64>>>,
    /// It ends well, and says something to everybody.
    is_calm: Rc<Cell<bool>>,
    /// Where there is some, half of the callers are read slowly.
    slowly: Rc<RefCell<Option<Rng>>>,
}

impl Service {
    /// What it does with callers, of whom each is told less than `says_max`, where the narrower of two kernels takes
    /// `narrow`.
    pub(super) fn behaviour(&self, narrow: usize, says_max: u64, mut temper: Rng) -> Behaviour {
        let service = self.clone();
        Behaviour::Serve(Box::new(move |number| {
            let pattern = SERVICE + number as u16;
            let is_calm = service.is_calm.get();
            if let Some(temper) = &mut *service.slowly.borrow_mut()
                && temper.below(2) == 0
                && !is_calm
            {
                let (bytes, slow) = slow_reader(pattern, narrow, temper);
                service.said.borrow_mut().push(bytes);
                return slow;
            }
            let bytes = temper.below(says_max) + u64::from(is_calm);
            service.said.borrow_mut().push(bytes);
            let ending = match is_calm {
                true => Ending::HalfClose,
                false => any_ending(&mut temper),
            };
            source(pattern, bytes, ending, &mut temper)
        }))
    }

    /// Half of the callers are read slowly from now on, as `temper` has it.
    pub(super) fn be_slow(&self, temper: Rng) {
        *self.slowly.borrow_mut() = Some(temper);
    }

    /// From now on it ends well, and says something to everybody.
    pub(super) fn calm_down(&self) {
        self.is_calm.set(true);
    }
}
