//! How do modules of this SDK call each other?

use crate::context::Context;
use crate::error::Error;
use crate::raw::{Ctx, ImportedService};

/// A service of another module; see [`ServiceSpec`](crate::ServiceSpec).
#[derive(Clone, Copy)]
pub struct Service {
    service: ImportedService,
}

impl Service {
    pub(crate) fn find(ctx: Ctx<'_>, name: &str) -> Result<Option<Service>, Error> {
        Ok(ImportedService::find(ctx, name)?.map(|service| Service { service }))
    }

    /// Sends a request; `answer` gets the answer in one or more chunks, during the call.
    pub fn call(
        &self,
        ctx: &mut Context<'_>,
        request: &[u8],
        mut answer: impl FnMut(&[u8]),
    ) -> Result<(), Error> {
        ctx.writable()?;
        self.service.call(ctx.raw(), request, &mut answer)
    }
}
