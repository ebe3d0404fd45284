//! Plain types and the rules between them. Nothing here depends on Protobuf, SQL or HTTP.

pub mod comment;
pub mod effect;
pub mod import;
pub mod inbound_event;
pub mod ledger;
pub mod mail;
pub mod money;
pub mod operation;
pub mod order;
pub mod page;
pub mod password;
pub mod payment;
pub mod product;
pub mod schedule;
pub mod service_key;
pub mod session;
pub mod signing_key;
pub mod subscription;
pub mod ticket;
pub mod token;
pub mod user;
pub mod version;
pub mod webhook;

/// Defines an enum whose variants have numbers: those of the contract's enum, if there is one, and of the database.
macro_rules! numbered {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $number:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $name {
            $($(#[$variant_doc])* $variant = $number,)*
        }

        impl $name {
            /// Returns the number.
            pub fn number(self) -> i16 {
                self as i16
            }

            /// Returns the variant with a number.
            pub fn from_number(number: i32) -> Option<Self> {
                match number {
                    $($number => Some(Self::$variant),)*
                    _ => None,
                }
            }
        }
    };
}
pub(crate) use numbered;
