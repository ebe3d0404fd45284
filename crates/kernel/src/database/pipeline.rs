//! Pipelining: several statements in one round trip.

/// Sends statements together, in order, and returns all results or the first error in that order.
///
/// After a failed statement in a transaction, all later ones fail as a consequence. `try_join!` returns the error that
/// it polls first, which may be such a consequence: responses may arrive between the polls of two futures.
#[doc(hidden)]
#[macro_export]
macro_rules! __pipeline {
    ($($statement:expr),+ $(,)?) => {
        $crate::database::pipeline::Results::in_order($crate::database::pipeline::join!($($statement),+))
    };
}
pub use crate::__pipeline as pipeline;
#[doc(hidden)]
pub use futures_util::join;

use futures_util::future::BoxFuture;

use super::Connection;
use crate::error::Result as KernelResult;

/// A statement that is sent later, or a few that are sent together.
pub type Queued = Box<dyn for<'c> FnOnce(&'c Connection) -> BoxFuture<'c, KernelResult<()>> + Send>;

/// Boxes statements to be sent later.
pub fn queued(
    statements: impl for<'c> FnOnce(&'c Connection) -> BoxFuture<'c, KernelResult<()>> + Send + 'static,
) -> Queued {
    Box::new(statements)
}

/// The results of several statements.
pub trait Results {
    /// The values of all statements.
    type Output;

    /// Returns the values, or the first error.
    fn in_order(self) -> Self::Output;
}

macro_rules! results {
    ($($value:ident $number:tt),+) => {
        impl<Error, $($value),+> Results for ($(Result<$value, Error>,)+) {
            type Output = Result<($($value,)+), Error>;

            fn in_order(self) -> Self::Output {
                Ok(($(self.$number?,)+))
            }
        }
    };
}

results!(A 0, B 1);
results!(A 0, B 1, C 2);
results!(A 0, B 1, C 2, D 3);
results!(A 0, B 1, C 2, D 3, E 4);
results!(A 0, B 1, C 2, D 3, E 4, F 5);

#[cfg(test)]
mod tests {
    use std::future::ready;

    /// Both responses arrive after the first statement was polled.
    #[tokio::test]
    async fn the_first_statement_that_failed_says_why() {
        let mut looks = 0;
        let cause = std::future::poll_fn(|context| {
            looks += 1;
            context.waker().wake_by_ref();
            if looks > 1 { std::task::Poll::Ready(Err::<(), _>("a conflict")) } else { std::task::Poll::Pending }
        });
        let aborted = ready(Err::<(), _>("the transaction is aborted"));
        assert_eq!(super::pipeline!(cause, aborted), Err("a conflict"));
        assert_eq!(super::pipeline!(ready(Ok::<_, ()>(1)), ready(Ok("two"))), Ok((1, "two")));
    }
}
