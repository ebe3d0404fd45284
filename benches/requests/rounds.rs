//! Alternating rounds of all contenders.

use std::time::Duration;

use crate::{
    calls::Operation,
    children::Server,
    clients::Client,
    contender::Contender,
    load::{self, Measurement},
    options::Options,
    world::World,
};

impl Contender {
    fn server(self, world: &World) -> &Server {
        match self {
            Self::Peer => &world.peer,
            Self::Bare => &world.bare,
            Self::Careful => &world.careful,
            Self::Grpc | Self::Rest2 | Self::Rest1 => &world.server,
        }
    }

    /// A client with its own connection.
    pub(crate) async fn client(self, world: &World) -> anyhow::Result<Client> {
        let port = self.server(world).port;
        Ok(match self {
            Self::Bare | Self::Careful | Self::Grpc => Client::grpc(port, &world.token).await?,
            Self::Rest2 => Client::http2(port, &world.token).await?,
            Self::Rest1 | Self::Peer => Client::http1(port, &world.token),
        })
    }

    async fn clients(self, world: &World, options: &Options) -> anyhow::Result<Vec<Client>> {
        let mut clients = Vec::new();
        for _ in 0..options.connections {
            clients.extend(std::iter::repeat_n(self.client(world).await?, options.in_flight));
        }
        Ok(clients)
    }
}

/// The results of each contender by round, in the order of [`Operation::contenders`].
pub(crate) type Rounds = Vec<Vec<Measurement>>;

/// Runs one contender.
pub(crate) async fn round(
    world: &World,
    options: &Options,
    contender: Contender,
    operation: Operation,
    length: Duration,
) -> anyhow::Result<Measurement> {
    measure(world, contender, contender.clients(world, options).await?, operation, length).await
}

/// Runs the clients of a contender.
pub(crate) async fn measure(
    world: &World,
    contender: Contender,
    clients: Vec<Client>,
    operation: Operation,
    length: Duration,
) -> anyhow::Result<Measurement> {
    let server = contender.server(world);
    let (before, postgres_before) = (server.cpu(), world.postgres_cpu());
    let mut measurement = load::run(clients, &world.target, operation, length).await?;
    measurement.cpu = server.cpu().zip(before).map(|(after, before)| after - before);
    measurement.postgres = world.postgres_cpu().zip(postgres_before).map(|(after, before)| after - before);
    Ok(measurement)
}

/// Runs all contenders forwards, backwards, forwards …, after one short warm-up round.
pub(crate) async fn run(world: &World, options: &Options, operation: Operation) -> anyhow::Result<Rounds> {
    let contenders = operation.contenders();
    let mut rounds: Rounds = vec![Vec::new(); contenders.len()];
    for number in 0..=options.rounds() {
        let mut order: Vec<_> = (0..contenders.len()).collect();
        if number % 2 == 0 {
            order.reverse();
        }
        for index in order {
            let length = if number == 0 { options.round() / 2 } else { options.round() };
            let measurement = round(world, options, contenders[index], operation, length).await?;
            if number > 0 {
                rounds[index].push(measurement);
            }
        }
    }
    Ok(rounds)
}
