//! Sign-ins, compared to the verification of their passwords alone, on every CPU.

use std::{
    num::NonZero,
    thread,
    time::{Duration, Instant},
};

use mainstay::identity::auth::password::{DUMMY, Password};

use crate::{
    calls::{Operation, PASSWORD, STRIDE, Target},
    children::cpu,
    comparison::{Comparison, Rate},
    contender::Contender,
    load::Measurement,
    options::Options,
    rounds,
    world::{EMAIL, World},
};

/// Returns the rounds of the sign-ins as well.
pub(crate) async fn run(world: &World, options: &Options) -> anyhow::Result<(Vec<Measurement>, Comparison)> {
    let customers: Vec<_> = (0..options.concurrency()).map(|worker| Target::email(worker * STRIDE)).collect();
    let enroll = "UPDATE users SET password_hash = admins.password_hash FROM users AS admins \
                  WHERE admins.email = $1 AND users.email = ANY ($2)";
    world.sql.execute(enroll, &[&EMAIL, &customers]).await?;
    let sign_in = |length| rounds::round(world, options, Contender::Rest1, Operation::SignIn, length);
    // The first sign-in of each customer also sends a mail, because it comes from a new network.
    sign_in(options.round() / 2).await?;
    let (mut measurements, mut alone) = (Vec::new(), Vec::new());
    for _ in 0..options.rounds() {
        measurements.push(sign_in(options.round()).await?);
        let length = options.round();
        alone.push(tokio::task::spawn_blocking(move || verify(length)).await??);
    }
    let comparison = Comparison {
        name: "sign-in".to_owned(),
        limit: "argon2 alone".to_owned(),
        served: measurements.iter().map(Rate::from).collect(),
        alone,
    };
    Ok((measurements, comparison))
}

/// Verifies a password on every CPU, repeatedly.
fn verify(length: Duration) -> anyhow::Result<Rate> {
    let (began, before) = (Instant::now(), cpu(std::process::id()));
    let count = thread::scope(|scope| {
        let verify = || -> anyhow::Result<u64> {
            let mut count = 0;
            while began.elapsed() < length {
                let verified = Password::attempt(PASSWORD.into()).verify(DUMMY);
                anyhow::ensure!(verified.is_ok_and(|what| what.is_none()), "the password is wrong");
                count += 1;
            }
            Ok(count)
        };
        let cpus = thread::available_parallelism().map_or(1, NonZero::get);
        let threads: Vec<_> = (0..cpus).map(|_| scope.spawn(verify)).collect();
        let joined = threads.into_iter().map(|thread| thread.join().expect("no panic"));
        joined.sum::<anyhow::Result<u64>>()
    })?;
    let cpu = cpu(std::process::id()).zip(before).map(|(after, before)| after - before);
    Ok(Rate { count: count as f64, wall: began.elapsed(), cpu })
}
