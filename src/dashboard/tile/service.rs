//! `mainstay.dashboard.v1.TileService`.

use tonic::Request;

use crate::{
    dashboard::tile::cached::CachedTiles,
    proto::dashboard::v1::{self as pb, tile_service_server::TileService},
};
use mainstay_kernel::{
    app::App,
    grpc::{Call, Reply},
};

#[derive(Debug, Clone)]
pub struct TileRpcs {
    pub app: App,
}

#[tonic::async_trait]
impl TileService for TileRpcs {
    async fn get_tiles(&self, request: Request<pb::GetTilesRequest>) -> Reply<pb::GetTilesResponse> {
        let call = Call::admit(request)?;
        let tiles = self.app.part::<CachedTiles>().visible(&self.app, &call.permit()?).await;
        call.read(pb::GetTilesResponse { data: Some(pb::Tiles { tiles }) })
    }
}
