//! Ids of this module's resources; see [`mainstay_kernel::id`].

mainstay_kernel::id::ids! {
    /// A file.
    FileId
}

impl FileId {
    /// Parses ids that the field rules have already checked to be UUIDs; removes duplicates.
    ///
    /// # Errors
    /// `NOT_FOUND`.
    pub fn parse_all(ids: &[String]) -> mainstay_kernel::error::Result<Vec<Self>> {
        let mut all = Vec::with_capacity(ids.len());
        for id in ids {
            let id = Self::parse(id)?;
            // The same id may have been written in two ways.
            if !all.contains(&id) {
                all.push(id);
            }
        }
        Ok(all)
    }
}
