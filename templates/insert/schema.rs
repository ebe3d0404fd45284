
diesel::table! {
    my_module.sample_items (id) {
        id -> Uuid,
        account_id -> Uuid,
        name -> Text,
        version -> BigInt,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
    }
}
