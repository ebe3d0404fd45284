//! Enums with numbers.

/// Defines an enum whose variants have numbers: those of the contract's enum, if there is one, and of the database.
#[doc(hidden)]
#[macro_export]
macro_rules! __numbered {
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
pub use crate::__numbered as numbered;
