// Shows the documents. Keys that are typed in stay in the page, and no other host is asked for anything.
window.ui = SwaggerUIBundle({
  urls: DOCUMENTS,
  dom_id: "#reference",
  presets: [SwaggerUIBundle.presets.apis, SwaggerUIStandalonePreset],
  // its logo brings a style of its own, which the page's policy does not let in
  plugins: [SwaggerUIBundle.plugins.DownloadUrl, () => ({ components: { Logo: () => null } })],
  layout: "StandaloneLayout",
  deepLinking: true,
  docExpansion: "none",
  filter: true,
  showExtensions: true,
  defaultModelsExpandDepth: 0,
  persistAuthorization: false,
  validatorUrl: null,
});
