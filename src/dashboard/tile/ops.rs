//! The declaration of tiles by modules.

use std::{collections::HashSet, time::Duration};

use futures_util::future::BoxFuture;
use mainstay_kernel::{app::App, caller::Permit, contract::Policies, error::Result, module::Module};

pub use super::model::{MAX_ROWS, Row, Value};

/// A key figure or a short list of a module on the home page of the console, for the staff.
///
/// The value is the same for every caller and is about all accounts, so that one read serves all callers.
pub trait Tile: 'static {
    /// The name: that of the module, a dot, and lower-case words joined by `_`, as in `fleet.open_leases`.
    const NAME: &'static str;

    /// The title, a few words.
    const TITLE: &'static str;

    /// The scope that a member of the staff or a service needs to see the tile, beside `dashboard.tiles.read`.
    const SCOPE: &'static str;

    /// The page of the console with the counted items: a path below `/console`, such as `/s/LeaseService`.
    const LINK: Option<&'static str> = None;

    /// Whether a number other than 0 needs attention.
    const IS_ALARMING: bool = false;

    /// How long a server reuses the value.
    const MAX_AGE: Duration = Duration::from_secs(10);

    /// Reads the value. A read has five seconds; callers wait for one second.
    ///
    /// # Errors
    /// Any error: the tile is then shown as unavailable.
    fn read(app: App) -> impl Future<Output = Result<Value>> + Send;
}

/// A declared [`Tile`].
#[derive(Debug, Clone, Copy)]
pub struct Declared {
    pub name: &'static str,
    pub title: &'static str,
    pub scope: &'static str,
    pub link: Option<&'static str>,
    pub is_alarming: bool,
    pub max_age: Duration,
    pub read: fn(App) -> BoxFuture<'static, Result<Value>>,
}

impl Declared {
    fn of<T: Tile>() -> Self {
        Self {
            name: T::NAME,
            title: T::TITLE,
            scope: T::SCOPE,
            link: T::LINK,
            is_alarming: T::IS_ALARMING,
            max_age: T::MAX_AGE,
            read: |app| Box::pin(T::read(app)),
        }
    }

    /// Returns whether the caller, who has a permit for all accounts, may see the tile.
    pub fn is_visible(&self, permit: &Permit) -> bool {
        permit.check_scope(self.scope).is_ok()
    }

    fn fault(&self, policies: &Policies) -> Option<String> {
        if policies.scope(self.scope).is_none() {
            return Some(format!("{}: no module declares the scope {}", self.name, self.scope));
        }
        let link = self.link.filter(|link| !link.starts_with('/') || link.starts_with("//"));
        link.map(|link| format!("{}: the link {link} is no path below /console, such as /s/LeaseService", self.name))
    }
}

/// A module that shows tiles.
pub trait ShowsTiles {
    /// Declares a tile. In a program without the module `dashboard`, it has no effect.
    #[must_use]
    fn tile<T: Tile>(self) -> Self;
}

impl ShowsTiles for Module {
    fn tile<T: Tile>(self) -> Self {
        self.kind("tile", T::NAME, &[]).contribute(Declared::of::<T>())
    }
}

/// The tiles of all modules, in the order of registration.
#[derive(Debug)]
pub struct Tiles(pub Vec<Declared>);

impl Tiles {
    /// Collects the tiles.
    ///
    /// # Errors
    /// Every tile with the name of another one, with a scope that no module declares, or with a link that is no path.
    pub(crate) fn new(all: impl Iterator<Item = Declared>, policies: &Policies) -> anyhow::Result<Self> {
        let tiles: Vec<_> = all.collect();
        let mut distinct = HashSet::new();
        let twice = tiles.iter().filter(|tile| !distinct.insert(tile.name));
        let mut faults: Vec<_> = twice.map(|tile| format!("{} is declared twice", tile.name)).collect();
        faults.extend(tiles.iter().filter_map(|tile| tile.fault(policies)));
        anyhow::ensure!(faults.is_empty(), "the tiles are not usable:\n  {}", faults.join("\n  "));
        Ok(Self(tiles))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Unusable;

    impl Tile for Unusable {
        const NAME: &'static str = "fleet.unusable";
        const TITLE: &'static str = "Unusable";
        const SCOPE: &'static str = "fleet.nothing";

        async fn read(_: App) -> Result<Value> {
            Ok(Value::Number(0))
        }
    }

    #[test]
    fn a_tile_has_a_declared_scope_a_path_and_a_unique_name() {
        let policies = &crate::product().modules().expect("they fit").contract.policies;
        let unscoped = Declared::of::<Unusable>();
        let linked = Declared { scope: "dashboard.tiles.read", link: Some("//example.com"), ..unscoped };
        let fault = Tiles::new([unscoped, linked].into_iter(), policies).expect_err("a fault").to_string();
        for part in [
            "fleet.unusable is declared twice",
            "fleet.unusable: no module declares the scope fleet.nothing",
            "fleet.unusable: the link //example.com is no path below /console",
        ] {
            assert!(fault.contains(part), "{fault}");
        }
    }
}
