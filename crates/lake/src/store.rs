//! The store that a URI names, with the credentials for it.

use crate::credentials::Options;
use crate::error::{LakeError, Result};
use lake_protocol::uri::{Scheme, Uri};
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::azure::{AzureConfigKey, MicrosoftAzureBuilder};
use object_store::gcp::{GoogleCloudStorageBuilder, GoogleConfigKey};
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{ClientOptions, ObjectStore, RetryConfig};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

pub type Store = Arc<dyn ObjectStore>;

/// A connection that is cut is tried again so many times, for so long at most.
const RETRIES: usize = 4;
const RETRY_FOR: Duration = Duration::from_secs(40);
const CONNECT_WITHIN: Duration = Duration::from_secs(10);
/// Bytes that do not come for so long are asked for anew.
const READ_WITHIN: Duration = Duration::from_secs(60);

/// Makes one of the builders, which have the same methods and no trait in common.
macro_rules! build {
    ($builder:expr, $key:ty, $options:expr) => {{
        let mut builder = $builder.with_retry(retries()).with_client_options(client($options));
        for (name, value) in $options {
            let key = <$key>::from_str(name).map_err(|_| unknown(name))?;
            builder = builder.with_config(key, value);
        }
        Arc::new(builder.build().map_err(|error| LakeError::store("the store cannot be used", &error))?)
            as Store
    }};
}

pub fn open(uri: &Uri, options: &Options) -> Result<Store> {
    Ok(match uri.scheme {
        Scheme::File => Arc::new(LocalFileSystem::new()),
        Scheme::S3 => {
            build!(AmazonS3Builder::from_env().with_bucket_name(&uri.authority), AmazonS3ConfigKey, options)
        }
        Scheme::Google => {
            let builder = GoogleCloudStorageBuilder::from_env().with_bucket_name(&uri.authority);
            build!(builder, GoogleConfigKey, options)
        }
        Scheme::Azure => {
            let (container, account) = uri.container_and_account();
            let mut builder = MicrosoftAzureBuilder::from_env().with_container_name(container);
            if let Some(account) = account {
                builder = builder.with_account(account);
            }
            build!(builder, AzureConfigKey, options)
        }
    })
}

fn unknown(name: &str) -> LakeError {
    LakeError::argument(format!("the credentials have an option \"{name}\", which the store does not know"))
}

fn retries() -> RetryConfig {
    RetryConfig { max_retries: RETRIES, retry_timeout: RETRY_FOR, ..RetryConfig::default() }
}

/// Without encryption only where the file of credentials names such an endpoint.
fn client(options: &Options) -> ClientOptions {
    let plain =
        options.iter().any(|(name, value)| name.ends_with("endpoint") && value.starts_with("http://"));
    let client = ClientOptions::new().with_connect_timeout(CONNECT_WITHIN).with_timeout_disabled();
    client.with_read_timeout(READ_WITHIN).with_allow_http(plain)
}

/// The path of an object, from its segments.
pub fn path(segments: &[String]) -> Result<Path> {
    Path::parse(segments.join("/")).map_err(|error| LakeError::argument(error.to_string()))
}
