//! Where somebody outside reaches the menus that are running: the REST interface, mostly.
//!
//! A call whose menu is listed here takes orders for it, until the door that it was given is dropped.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use bot::ivr::machine::Source;
use tokio::sync::mpsc;

use crate::phone::sid::Sid;

/// Orders that wait for a menu: whoever gives more is refused.
const ORDERS: usize = 4;

/// What somebody outside orders a menu to do: the REST interface, mostly.
#[derive(Debug)]
pub(crate) enum MenuOrder {
    /// Go on with this document.
    Redirect(Source),
}

/// Menus that are running, by their calls. Bounded by the calls that there are.
#[derive(Default)]
pub(crate) struct Menus(Arc<Mutex<BTreeMap<Sid, mpsc::Sender<MenuOrder>>>>);

impl Menus {
    /// The menu of a call.
    pub(crate) fn of(&self, call: &Sid) -> Option<mpsc::Sender<MenuOrder>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(call).cloned()
    }

    /// Takes orders for the menu that a call has, or will have once it is taken, until the answer is dropped.
    pub(crate) fn open(&self, call: &Sid) -> Door {
        let (orders, inbox) = mpsc::channel(ORDERS);
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(call.clone(), orders);
        Door { inbox, _listed: Listed { call: call.clone(), menus: self.0.clone() } }
    }
}

/// Where orders for a menu come in.
pub(crate) struct Door {
    pub(super) inbox: mpsc::Receiver<MenuOrder>,
    _listed: Listed,
}

/// A menu is listed until this is dropped.
struct Listed {
    call: Sid,
    menus: Arc<Mutex<BTreeMap<Sid, mpsc::Sender<MenuOrder>>>>,
}

impl Drop for Listed {
    fn drop(&mut self) {
        self.menus.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.call);
    }
}
