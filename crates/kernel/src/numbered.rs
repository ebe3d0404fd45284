//! Enums whose variants have stable numbers in the contract and the database.

/// Defines an enum whose variants have numbers, which are those of the contract's enum, if any, and of the database. A
/// variant may also have a name for logs, metrics and paths, as in `One = 1 => "one"`. Such an enum also has constants
/// with all variants and names.
///
/// ```
/// mainstay_kernel::numbered::numbered! {
///     Stage {
///         First = 1 => "first",
///         Last = 3 => "last",
///     }
/// }
///
/// assert_eq!(Stage::ALL.map(Stage::number), [1, 3]);
/// assert_eq!([1, 2, 3].map(Stage::from_number), [Some(Stage::First), None, Some(Stage::Last)]);
/// assert_eq!(Stage::from_name("last"), Some(Stage::Last));
/// assert_eq!(Stage::NAMES, Stage::ALL.map(Stage::name));
/// ```
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
    (
        $(#[$doc:meta])*
        $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $number:literal => $text:literal,)* }
    ) => {
        $crate::__numbered! {
            $(#[$doc])*
            $name { $($(#[$variant_doc])* $variant = $number,)* }
        }

        impl $name {
            /// All variants, in the order of their numbers.
            pub const ALL: [Self; [$($number),*].len()] = [$(Self::$variant),*];

            /// The names of all variants.
            pub const NAMES: [&'static str; Self::ALL.len()] = [$($text),*];

            /// Returns the variant with a name.
            pub fn from_name(name: &str) -> Option<Self> {
                Self::ALL.into_iter().find(|variant| variant.name() == name)
            }

            /// Returns the name, for logs, metrics and paths.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)*
                }
            }
        }
    };
}
pub use crate::__numbered as numbered;
