//! diesel's definitions of the module's tables.

diesel::table! {
    fleet.vehicles (id) {
        id -> Uuid, plate -> Text, model -> Text, status -> SmallInt, version -> BigInt, created_at -> Timestamptz,
        updated_at -> Timestamptz,
    }
}
diesel::table! {
    fleet.leases (id) {
        id -> Uuid, vehicle_id -> Uuid, account_id -> Uuid, order_id -> Nullable<Uuid>, expires_at -> Timestamptz,
        ended_at -> Nullable<Timestamptz>, version -> BigInt, created_at -> Timestamptz, updated_at -> Timestamptz,
        announced_at -> Nullable<Timestamptz>,
    }
}
