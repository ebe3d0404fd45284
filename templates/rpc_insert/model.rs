
    /// Does it with the sample item.
    pub fn do_it(self, now: DateTime<Utc>) -> Self {
        Self { version: self.version + 1, updated_at: now, ..self }
    }
