//! A file of a store that is read in pieces, each of which has to be of the same content.

use crate::list::{bare, Found};
use crate::store::Store;
use bytes::Bytes;
use futures_util::future::{BoxFuture, FutureExt};
use object_store::{coalesce_ranges, GetOptions, ObjectMeta, OBJECT_STORE_COALESCE_DEFAULT};
use parquet::arrow::arrow_reader::ArrowReaderOptions;
use parquet::arrow::async_reader::AsyncFileReader;
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::{ParquetMetaData, ParquetMetaDataReader};
use std::ops::Range;
use std::sync::Arc;

#[derive(Clone)]
pub struct WatchedFile {
    store: Store,
    meta: ObjectMeta,
}

/// How many bytes of the end are read at first; the footers of most files fit.
const FOOTER: usize = 64 << 10;

impl WatchedFile {
    pub fn new(store: &Store, found: &Found) -> Self {
        Self { store: store.clone(), meta: found.meta.clone() }
    }

    /// Asks for the content that was listed, and looks whether the answer is of it: not every store minds the question.
    async fn get(self, range: Range<u64>) -> Result<Bytes> {
        // Azure lists etags without the quotes that the header has.
        let listed = self.meta.e_tag.as_deref().map(bare);
        let options =
            GetOptions::new().with_range(Some(range)).with_if_match(listed.map(|tag| format!("\"{tag}\"")));
        let result = self.store.get_opts(&self.meta.location, options).await.map_err(external)?;
        let same_tag = match (result.meta.e_tag.as_deref().map(bare), listed) {
            (Some(now), Some(then)) => now == then,
            _ => result.meta.last_modified == self.meta.last_modified,
        };
        if !same_tag || result.meta.size != self.meta.size {
            let path = self.meta.location.to_string();
            let source = "its etag is another one than when it was listed".into();
            return Err(external(object_store::Error::Precondition { path, source }));
        }
        result.bytes().await.map_err(external)
    }
}

fn external(error: object_store::Error) -> ParquetError {
    ParquetError::External(Box::new(error))
}

impl AsyncFileReader for WatchedFile {
    fn get_bytes(&mut self, range: Range<u64>) -> BoxFuture<'_, Result<Bytes>> {
        self.clone().get(range).boxed()
    }

    fn get_byte_ranges(&mut self, ranges: Vec<Range<u64>>) -> BoxFuture<'_, Result<Vec<Bytes>>> {
        let file = self.clone();
        async move {
            coalesce_ranges(&ranges, |range| file.clone().get(range), OBJECT_STORE_COALESCE_DEFAULT).await
        }
        .boxed()
    }

    fn get_metadata<'a>(
        &'a mut self,
        _: Option<&'a ArrowReaderOptions>,
    ) -> BoxFuture<'a, Result<Arc<ParquetMetaData>>> {
        async move {
            let size = self.meta.size;
            let reader = ParquetMetaDataReader::new().with_prefetch_hint(Some(FOOTER));
            Ok(Arc::new(reader.load_and_finish(self, size).await?))
        }
        .boxed()
    }
}
