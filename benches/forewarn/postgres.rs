//! A place of their own for benchmarks in a shared PostgreSQL.

/// A URL whose connections work in an empty schema of that name.
pub(crate) async fn empty_schema(url: &str, schema: &str) -> String {
    let admin = sqlx::PgPool::connect(url).await.unwrap();
    let sql = format!("DROP SCHEMA IF EXISTS {schema} CASCADE; CREATE SCHEMA {schema}");
    sqlx::raw_sql(sqlx::AssertSqlSafe(sql))
        .execute(&admin)
        .await
        .unwrap();
    admin.close().await;
    let separator = if url.contains('?') { '&' } else { '?' };
    format!("{url}{separator}options=-csearch_path%3D{schema}")
}
