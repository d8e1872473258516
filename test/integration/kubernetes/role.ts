/** The rights that the operator needs, in one namespace: those of the chart. */
const readWrite = ['get', 'list', 'watch', 'create', 'patch'];

export const role = {
  metadata: { name: 'operator' },
  rules: [
    { apiGroups: ['conclave.dev'], resources: ['moemodels', 'expertpools'], verbs: ['get', 'list', 'watch', 'patch'] },
    {
      apiGroups: ['conclave.dev'],
      resources: ['moemodels/status', 'expertpools/status', 'expertpools/scale'],
      verbs: ['get', 'patch'],
    },
    { apiGroups: ['conclave.dev'], resources: ['moemodels/finalizers', 'expertpools/finalizers'], verbs: ['update'] },
    { apiGroups: ['apps'], resources: ['statefulsets'], verbs: readWrite },
    { apiGroups: ['apps'], resources: ['deployments'], resourceNames: ['conclave'], verbs: ['patch'] },
    { apiGroups: [''], resources: ['services'], verbs: readWrite },
    { apiGroups: ['policy'], resources: ['poddisruptionbudgets'], verbs: readWrite },
    { apiGroups: [''], resources: ['pods'], verbs: ['get', 'list', 'watch', 'delete'] },
    { apiGroups: [''], resources: ['events'], verbs: ['create'] },
    { apiGroups: [''], resources: ['namespaces'], resourceNames: ['moe'], verbs: ['get'] },
  ],
};

export const roleBinding = {
  metadata: { name: 'operator' },
  roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name: 'operator' },
  subjects: [{ apiGroup: 'rbac.authorization.k8s.io', kind: 'User', name: 'operator' }],
};
