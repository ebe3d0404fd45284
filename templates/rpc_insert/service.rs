
    async fn do_it_sample_item(
        &self,
        request: Request<pb::DoItSampleItemRequest>,
    ) -> Reply<pb::DoItSampleItemResponse> {
        let call = Call::admit(request)?;
        let (id, expected) = (SampleItemId::parse(&call.message.sample_item_id)?, call.if_match.clone());
        call.write(&self.app, async move |work: &mut Work| {
            let sample_item = ops::do_it(work, id, expected).await?;
            Ok(pb::DoItSampleItemResponse { data: Some(to_message(sample_item)) })
        })
        .await
    }
